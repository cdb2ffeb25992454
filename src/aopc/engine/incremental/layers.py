"""What a step of a network does to windows of its input, read from the operators that it runs.

A step is *sliding* (an output place reads a window of input places: convolution, pooling), *pointwise* (it reads the
same place of each input: activations, normalisation, addition, concatenation) or not known, in which case it is
computed in full. What a layer is called does not count: a patched one runs other operators.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from aopc.engine.incremental.prepacked import PrepackedConvolution
from aopc.engine.incremental.trace import Traced
from aopc.engine.incremental.windows import Slide
from aopc.models.operators import Constant, Operation


@dataclass(frozen=True)
class Sliding:
    """A layer whose outputs read windows of the input.

    Attributes
    ----------
    rows, columns
        How the window slides.
    fill
        What lies beyond the border.
    apply
        (B, C, h, w), border included → (B, C', h', w').
    """

    rows: Slide
    columns: Slide
    fill: float
    apply: Callable[[Tensor], Tensor]

    @property
    def is_pointwise(self) -> bool:
        """Whether it reads its own place only, as a 1 × 1 convolution does."""
        return all(s == Slide(1, 1, 0, s.dilation) for s in (self.rows, self.columns))


@dataclass(frozen=True)
class Pointwise:
    """A step that reads the same place of each of its inputs: the node's own call, on windows."""


Kind = Sliding | Pointwise | None

#: Elementwise operators that torch does not mark as such.
_ELEMENTWISE = {
    "hardswish",
    "hardsigmoid",
    "log_sigmoid_forward",
    "prelu_kernel",
    "hardtanh",
    "leaky_relu",
    "elu",
    "silu",
}
#: Those that only look at memory otherwise. Where heights and widths stay, places do, since memory is row by row.
_RESHAPING = {
    "view",
    "unsafe_view",
    "reshape",
    "unsqueeze",
    "squeeze",
    "clone",
    "to_copy",
    "alias",
    "detach",
    "contiguous",
}
_BATCH_NORMS = {"native_batch_norm", "native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm"}


def kind_of(node: fx.Node, found: Traced, *, dropout: bool) -> Kind:
    """What a node of a traced network does, None if it is not known, as ``dropout`` that is active."""
    sources = [s for s in node.all_input_nodes if s.op != "get_attr"]
    if not sources or any(found.shapes.get(n) is None for n in (node, *sources)):
        return None
    if node.op == "call_module":
        module = found.graph.get_submodule(str(node.target))
        parts = list(module.modules())
        if any(m._forward_hooks or m._forward_pre_hooks for m in parts):
            return None
        if dropout and any(isinstance(m, _DropoutNd) for m in parts):
            return None
        if node.args == (sources[0],) and not node.kwargs:
            sliding = _sliding(module, node, sources[0], found)
            if sliding is not None:
                return sliding
    return Pointwise() if _is_pointwise(node, sources, found) else None


def _sliding(module: nn.Module, node: fx.Node, source: fx.Node, found: Traced) -> Sliding | None:
    """Of a node that runs one such operator, from its source to its value, and nothing else."""
    if len(found.operations[node]) != 1:
        return None
    (operation,) = found.operations[node]
    if operation.inputs != [found.values[source]] or operation.results[:1] != (found.values[node],):
        return None
    if operation.name == "convolution" and isinstance(module, nn.Conv2d):
        return _convolution(module, operation)
    if operation.name == "max_pool2d_with_indices":
        return _maximum(operation)
    if operation.name == "avg_pool2d":
        return _average(operation, found.shapes[source], found.shapes[node])
    return None


def _is_pointwise(node: fx.Node, sources: Sequence[fx.Node], found: Traced) -> bool:
    place = found.shapes[node][1:]
    if any(found.shapes[s][1:] != place for s in sources):
        return False
    operations = found.operations[node]
    if not operations:
        return any(found.values[s] == found.values[node] for s in sources)
    # Sizes that a function or a method is given are those of whole maps.
    resized = node.op != "call_module" and any(o.name in ("view", "unsafe_view", "reshape") for o in operations)
    return not resized and all(_keeps_places(operation, place) for operation in operations)


def _keeps_places(operation: Operation, place: tuple[int, ...]) -> bool:
    """Whether each number that an operator gives depends on its own place of the inputs only."""
    values = (*operation.inputs, *(r for r in operation.results if 0 not in r.shape))
    if any(v.shape[-2:] != place for v in values):
        return False
    name, arguments = operation.name, operation.arguments
    if name in _BATCH_NORMS:
        return not arguments.get("training", False)
    if name == "convolution":
        one = all(n == 1 for n in (*_weight(operation).shape[2:], *arguments["stride"]))
        return one and not any(arguments["padding"]) and not arguments["transposed"]
    if name == "cat":
        return not operation.constants and arguments["dim"] % len(operation.results[0].shape) == 1
    if name == "constant_pad_nd":
        return not any(arguments["pad"][:4])
    if name == "avg_pool3d":
        still = all(n == 1 for n in (*arguments["kernel_size"][1:], *arguments["stride"][1:]))
        return still and not any(arguments["padding"])
    if any(n != 1 for constant in operation.constants for n in constant.shape[-2:]):
        return False
    return name in _RESHAPING or _is_elementwise(operation.function, name)


def _is_elementwise(function: Any, name: str) -> bool:
    tags = set(function.tags)
    plain = getattr(torch.ops.aten, name, None)
    if plain is not None:  # what changes in place is not always marked
        tags |= {tag for overload in plain.overloads() for tag in getattr(plain, overload).tags}
    return torch.Tag.nondeterministic_seeded not in tags and (torch.Tag.pointwise in tags or name in _ELEMENTWISE)


def _weight(operation: Operation) -> Tensor:
    weight = operation.arguments["weight"]
    return weight.tensor if isinstance(weight, Constant) else torch.empty(0, 0, 0, 0)


def attribute(graph: fx.GraphModule, path: str) -> Any:
    """A parameter, buffer or constant of a traced network, by its dotted path."""
    return operator.attrgetter(path)(graph)


def _pair(value: Sequence[int]) -> tuple[int, int]:
    """An operator's numbers for rows and columns, of which one may stand for both."""
    return int(value[0]), int(value[-1])


def _slides(*sizes: tuple[int, int]) -> tuple[Slide, Slide]:
    """Of rows and columns, given kernel, stride, padding and dilation of both."""
    rows, columns = zip(*sizes, strict=True)
    return Slide(*rows), Slide(*columns)


def _convolution(module: nn.Conv2d, operation: Operation) -> Sliding | None:
    given = operation.arguments
    stride, padding, dilation = (_pair(given[name]) for name in ("stride", "padding", "dilation"))
    own = (module.stride, module.dilation, module.groups) == (stride, dilation, given["groups"])
    bias = None if module.bias is None else Constant(module.bias)
    if given["transposed"] or not own or (given["weight"], given["bias"]) != (Constant(module.weight), bias):
        return None
    slides = _slides(_pair(module.weight.shape[2:]), stride, padding, dilation)
    return Sliding(*slides, 0.0, PrepackedConvolution(module))


def _maximum(operation: Operation) -> Sliding:
    given = operation.arguments
    kernel, padding, dilation = (_pair(given[name]) for name in ("kernel_size", "padding", "dilation"))
    stride = _pair(given["stride"] or kernel)

    def apply(window: Tensor) -> Tensor:
        return functional.max_pool2d(window, kernel, stride, 0, dilation)

    return Sliding(*_slides(kernel, stride, padding, dilation), -torch.inf, apply)


def _average(operation: Operation, source: tuple[int, ...], shape: tuple[int, ...]) -> Sliding | None:
    given = operation.arguments
    kernel, padding = _pair(given["kernel_size"]), _pair(given["padding"])
    stride = _pair(given["stride"] or kernel)
    slides = _slides(kernel, stride, padding, (1, 1))
    # Windows that reach beyond the padded border are averaged over fewer places.
    whole = all(
        (length + 2 * slide.padding - slide.kernel) // slide.stride + 1 == outputs
        for slide, length, outputs in zip(slides, source[1:], shape[1:], strict=True)
    )
    if not whole or (any(padding) and not given["count_include_pad"]):
        return None

    def apply(window: Tensor) -> Tensor:
        return functional.avg_pool2d(window, kernel, stride, 0, divisor_override=given["divisor_override"])

    return Sliding(*slides, 0.0, apply)
