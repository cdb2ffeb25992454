"""Which networks a set of rules covers, found in the autograd graph of the forward pass that is explained.

A step of the network that no rule sees gives a wrong heatmap that looks right. So each node between the scores and
the images must be the work of a layer that has a rule, or of a kind of which the rules say what the signal does there;
any other is refused by name.
"""

from collections import defaultdict
from collections.abc import Container, Iterator

from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node

from aopc.base.errors import InputError
from aopc.explainers.backward.recording import Layer, Recorder

_ADVICE = "use another network, or bring your own explainer"


def _overloads(*names: str) -> frozenset[str]:
    """Names of the graph's nodes for torch's operators in all their forms."""
    return frozenset(f"{name}Backward{form}" for name in names for form in range(4))


#: Nodes that move values, or pick the recorded maximum: each output is one of the inputs.
MOVES = _overloads(
    "Alias", "View", "UnsafeView", "ReshapeAlias", "AsStrided", "Clone", "ToCopy", "Lift", "LiftFresh",
    "Permute", "Transpose", "T", "Expand", "Squeeze", "Unsqueeze", "Repeat", "Flip", "Roll",
    "Slice", "Select", "Split", "SplitWithSizes", "Unbind", "Diagonal", "Unfold", "Im2Col",
    "Index", "IndexSelect", "Gather", "Cat", "Stack", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle",
    "ReflectionPad1D", "ReflectionPad2D", "ReflectionPad3D", "ReplicationPad1D", "ReplicationPad2D", "ReplicationPad3D",
    "UpsampleNearest1D", "UpsampleNearest2D", "UpsampleNearest3D",
    "MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D",
    "FractionalMaxPool2D", "FractionalMaxPool3D",
) | {"MaxBackward0"}  # fmt: skip
#: Nodes that map each value by itself, nonlinearly.
ACTIVATIONS = _overloads(
    "Relu", "LeakyRelu", "PreluKernel", "RreluWithNoise", "Elu", "Celu", "Gelu", "Silu", "Mish", "Softplus", "Sigmoid",
    "LogSigmoid", "Tanh", "Hardtanh", "Hardswish", "Hardsigmoid", "Threshold", "Softshrink", "Hardshrink",
    "Clamp", "ClampMin", "ClampMax",
)  # fmt: skip
#: Nodes that multiply each value by something that the image does not reach.
SCALINGS = frozenset({"MulBackward0", "MulBackward1", "DivBackward0", "DivBackward1", "NegBackward0"})
SHIFTS = frozenset({"AddBackward0", "AddBackward1", "SubBackward0", "SubBackward1"})
#: Other nodes that are linear in the one input that the image reaches.
LINEAR_MAPS = _overloads(
    "Convolution", "Addmm", "Mm", "AvgPool2D", "AvgPool3D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D"
)
_JOINS = _overloads("Cat", "Stack")

_SOFTMAX = "the scores before it are what is explained, so give the network without it"
_HINTS = {"softmax": _SOFTMAX, "log_softmax": _SOFTMAX}


class Graph:
    """The autograd graph between a batch of images and its scores, and the rules' place in it.

    Parameters
    ----------
    scores
        Their node; None: they have none.
    images
        The node of the images' copy that the network was given.
    record
        Of the forward pass.
    """

    def __init__(self, scores: Node | None, images: Node, record: Recorder) -> None:
        self._readers: dict[Node, list[Node]] = defaultdict(list)
        found: set[Node] = set()
        queue = [] if scores is None else [scores]
        while queue:
            node = queue.pop()
            if node in found:
                continue
            found.add(node)
            for source, _ in node.next_functions:
                if source is not None:
                    self._readers[source].append(node)
                    queue.append(source)
        self._reached: set[Node] = set()
        waiting = [images]
        while waiting:
            node = waiting.pop()
            if node not in self._reached and node in found:
                self._reached.add(node)
                waiting.extend(self._readers[node])
        self._lossy: set[Node] = set()
        waiting = [node for node in record.unfollowed if node in found]
        while waiting:
            node = waiting.pop()
            if node not in self._lossy:
                self._lossy.add(node)
                waiting.extend(() if node in self._reached else self._readers[node])
        if scores is None or not self._reached:
            raise InputError(
                "the network's scores do not depend on the images through anything that a gradient can follow: look for"
                " detach, no_grad or item in its forward"
            )
        self._scores, self._images, self.record = scores, images, record
        self._preprocessing: dict[Node, bool] = {images: True}

    @property
    def between(self) -> Iterator[Node]:
        """All nodes between the scores and the images."""
        return iter(self._reached - {self._images})

    def sources(self, node: Node) -> list[int]:
        """Places among a node's inputs that the images reach."""
        return [i for i, (source, _) in enumerate(node.next_functions) if source in self._reached]

    def _sources(self, node: Node) -> list[Node]:
        return [source for source, _ in node.next_functions if source is not None and source in self._reached]

    def steps(self, layers: Container[str], kinds: Container[str], name: str) -> Iterator[Layer | Node]:
        """All layers of the given kinds, and all other nodes, from the scores to the images.

        InputError at the first node that is of none of the kinds, or whose inputs are not what its kind asks for;
        ``name`` is what has no rule for it.
        """
        if self.record.leaving is not None:
            raise InputError(f"{name} cannot follow what the network does by {self.record.leaving}: {_ADVICE}")
        queue, seen = [self._scores], {self._images}
        while queue:
            node = queue.pop()
            if node in seen:
                continue
            seen.add(node)
            self._require_followed(node, name)
            layer = self.record.layers.get(node)
            if layer is not None and layer.kind in layers:
                self._require_closed(layer, name)
                yield layer
                queue.append(self.before(layer))
            elif node.name() not in kinds or isinstance(node, BackwardCFunction):
                raise self.refusal(name, node)
            else:
                self._require_inputs(node, name)
                yield node
                queue.extend(self._sources(node))

    def before(self, layer: Layer) -> Node:
        """The node that gave a layer its input."""
        (source,) = self._sources(layer.entry)
        return source

    def only_reader(self, layer: Layer) -> bool:
        """Whether nothing but this layer reads its input."""
        return self._readers[self.before(layer)] == [layer.entry]

    def is_preprocessing(self, node: Node) -> bool:
        """Whether a node's values are the image's, each moved, scaled and shifted by itself."""
        if node not in self._preprocessing:
            places = self.sources(node)
            kind = node.name()
            alone = kind in MOVES or (kind in SCALINGS | SHIFTS and len(places) == 1)
            self._preprocessing[node] = alone and all(map(self.is_preprocessing, self._sources(node)))
        return self._preprocessing[node]

    def refusal(self, name: str, node: Node, why: str = "") -> InputError:
        """That ``name`` has no rule for a node."""
        call, reader = self.record.calls.get(node), node
        while reader not in self.record.calls and self._readers[reader]:
            reader = self._readers[reader][0]
        step = f"{call} ({node.name()})"
        if call is None:
            later = self.record.calls.get(reader)
            step = f"{node.name()!r}, made by code that cannot be seen" + (f" on the way to {later}" if later else "")
        if "CopySlices" in node.name():
            why = why or "which changes a part of a tensor in place"
        hint = _HINTS.get(call.function if call is not None else "", _ADVICE)
        return InputError(f"{name} has no rule for the step {step}{f', {why}' if why else ''}: {hint}")

    def _require_followed(self, node: Node, name: str) -> None:
        """InputError if a node also takes values of the image that the graph does not lead back to it."""
        if node in self._lossy:
            raise self.refusal(name, node, "which takes values that no gradient follows back to the image")

    def _require_closed(self, layer: Layer, name: str) -> None:
        """InputError unless a layer depends on the images through its input alone."""
        queue, seen = [layer.exit], {layer.entry}
        while queue:
            node = queue.pop()
            if node is self._images:
                raise self.refusal(name, layer.exit, "whose parameters depend on the image")
            if node not in seen:
                seen.add(node)
                self._require_followed(node, name)
                queue.extend(self._sources(node))
        if layer.stale:
            raise self.refusal(name, layer.exit, "whose input is changed in place afterwards")

    def _require_inputs(self, node: Node, name: str) -> None:
        """InputError unless the images reach those inputs of a node that they must for its kind."""
        kind, places = node.name(), self.sources(node)
        if kind in _JOINS and len(places) < len(node.next_functions):
            raise self.refusal(name, node, "which joins values that do not come from the image")
        if kind not in _JOINS | SHIFTS and len(places) > 1:
            raise self.refusal(name, node, "of several values that come from the image")
        if kind.startswith("Div") and places != [0]:
            raise self.refusal(name, node, "which divides by values that come from the image")
        if kind in SCALINGS | SHIFTS and node not in self.record.calls:
            raise self.refusal(name, node)
