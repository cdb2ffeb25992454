"""What a network's forward pass computed from the images, seen call by call.

Layers are recognised by the torch function that was called, with the values it was given, whatever module, hook or
parametrization called it: so what a rule is applied to is what ran.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from aopc.base.errors import InputError
from aopc.models.operators import ESCAPES
from aopc.models.zoo.normalisation import channel_norm

F = nn.functional

#: Kinds of layers that rules speak of.
LINEAR, AVERAGE, RESPONSE_NORM, BATCH_NORM, PADDING = (
    "a convolution or a linear layer", "average pooling", "local response normalisation", "batch normalisation",
    "padding",
)  # fmt: skip
_SUMS = (torch.mean, Tensor.mean, torch.sum, Tensor.sum)
_CALLS: dict[str, tuple[Callable[..., Any], ...]] = {
    LINEAR: (
        F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
    ),
    AVERAGE: (
        F.avg_pool1d, F.avg_pool2d, F.avg_pool3d,
        F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d, *_SUMS,
    ),
    RESPONSE_NORM: (F.local_response_norm, channel_norm),
    BATCH_NORM: (F.batch_norm,),
    PADDING: (F.pad,),
}  # fmt: skip
_KIND = {function: kind for kind, functions in _CALLS.items() for function in functions}
#: Functions that leave the graph, so that no gradient follows what is computed from their results, or that may change
#: what goes backward through it.
_LEAVING = {method.__name__ for method in ESCAPES} - {"__bool__", "__index__", "__contains__", "__deepcopy__"} | {
    "register_hook", "grad_fn",
}  # fmt: skip
_GRAD_FN: Any = vars(torch._C.TensorBase)["grad_fn"].__get__
#: Functions that read a tensor's form alone: of the first argument, or of the others.
_FORM_OF_FIRST = (
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "rand_like",
    "randn_like",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
)
_FORM_OF_OTHERS = ("to", "type_as", "view_as", "reshape_as", "expand_as")
#: Functions that read which values to take, but no values, from integers and masks.
_PICKING = ("__getitem__", "gather", "index_select", "take_along_dim")


class Layer(nn.Module):
    """One call of a torch function, as a module that zennit's rules can be applied to.

    Attributes
    ----------
    kind
        Of the layer, one of those above.
    input
        The values that the function was given.
    entry, exit
        The graph's nodes between which the call lies.
    weight, bias
        Of a linear layer.
    arguments
        Of a normalisation, by name.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    entry: Node
    exit: Node

    def __init__(self, kind: str, function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]):
        super().__init__()
        self.kind, self._function = kind, function
        names = ("input", "weight", "bias") if kind == LINEAR else ("input",)
        given = dict(zip(names, args, strict=False)) | {n: kwargs[n] for n in names if n in kwargs}
        self._rest = args[len(names) :], {n: v for n, v in kwargs.items() if n not in names}
        self._given = given["input"].detach()
        self._version = self._given._version
        self.input = self._given
        self.arguments: dict[str, Any] = {}
        if kind == LINEAR:
            self.set_parameters(given["weight"], given.get("bias"))
            self.input = self.input.to(self.weight.dtype)  # automatic mixed precision casts within the call
        if kind in (RESPONSE_NORM, BATCH_NORM):
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            self.arguments = bound.arguments

    def set_parameters(self, weight: Tensor, bias: Tensor | None) -> None:
        """Of a linear layer."""
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def with_parameters(self, weight: Tensor, bias: Tensor | None) -> "Layer":
        """The same call with other parameters."""
        other = Layer.__new__(Layer)
        nn.Module.__init__(other)
        plain = ("kind", "_function", "_rest", "_given", "_version", "input", "arguments", "entry", "exit")
        other.__dict__.update({name: self.__dict__[name] for name in plain})
        other.set_parameters(weight, bias)
        return other

    @property
    def transposed(self) -> bool:
        """Whether it is a transposed convolution, whose weight has the input's channels first."""
        return self._function in (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)

    @property
    def stale(self) -> bool:
        """Whether the values it was given were changed in place since."""
        return self._given._version != self._version

    def forward(self, input: Tensor) -> Tensor:
        """What the call gives for another input."""
        rest, named = self._rest
        parameters = (self.weight, self.bias) if self.kind == LINEAR else ()
        return self._function(input, *parameters, *rest, **named)


@dataclass(frozen=True)
class Call:
    """Which call gave a node: the function's name, and the module whose forward called it."""

    function: str
    module: str | None = None

    def __str__(self) -> str:
        return f"{self.function!r}" + (f" in {self.module}" if self.module else "")


class Recorder(TorchFunctionMode):
    """Watches a forward pass.

    Attributes
    ----------
    layers
        Layers by the node of their output.
    operands
        The two contributions to a sum and their versions, by node.
    calls
        Which call gave a node.
    unfollowed
        Nodes whose calls also took values that come from the images without a gradient.
    leaving
        The first call that made Python numbers of the images' values, or registered a hook; None: there was none.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.layers: dict[Node, Layer] = {}
        self.operands: dict[Node, list[tuple[Tensor, int]]] = {}
        self.calls: dict[Node, Call] = {}
        self.unfollowed: set[Node] = set()
        self.leaving: Call | None = None
        self._names = {module: name for name, module in model.named_modules()}
        # Sets of tensors: the values say nothing.
        self._from_images: Any = WeakTensorKeyDictionary()
        self._overwritten: Any = WeakTensorKeyDictionary()
        self._from_images[images] = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(function, "__name__", str(function))
        if function == _GRAD_FN:
            name = "grad_fn"
        read: Any = (args, kwargs)
        if name in _FORM_OF_FIRST:
            read = (args[1:], kwargs)
        elif name in _FORM_OF_OTHERS:
            read = args[:1]
        given = [t for t in _tensors(read) if self._is_from_images(t)]
        if not given:
            return function(*args, **kwargs)
        if name in _LEAVING and self.leaving is None:
            self.leaving = self._call(name)
        lost = any(not t.requires_grad and (t.is_floating_point() or name not in _PICKING) for t in given)
        layer, operands = None, None
        plain = not any(_has_own_functions(kind) for kind in types)
        if plain and (kind := self._kind(function, args, kwargs)) is not None:
            layer = Layer(kind, function, args, kwargs)
            entry = torch.ops.aten.alias.default(args[0] if args else kwargs["input"])
            layer.entry = entry.grad_fn
            args, kwargs = ((entry, *args[1:]), kwargs) if args else (args, kwargs | {"input": entry})
        elif name.strip("_") in ("add", "iadd", "radd"):
            operands = _operands(name, args, kwargs)
        base = args[0]._base if kwargs.get("inplace") and args and isinstance(args[0], Tensor) else None
        if base is not None:
            # In place, a view changes what it is a view of, and the graph shows no more what happened to each value.
            kwargs = kwargs | {"inplace": False}
        result = function(*args, **kwargs)
        self._require_current(name, args, result)
        if base is not None and result._base is not base:  # dropout that is off gives back what it was given
            self._overwritten[base] = None
        node = result.grad_fn if isinstance(result, Tensor) else None
        for tensor in _tensors(args if result is None else result):  # without a result it changes what it was given
            self._from_images[tensor] = None
            if tensor._base is not None:
                self._from_images[tensor._base] = None
            if tensor.grad_fn is not None:
                if tensor.grad_fn not in self.calls:
                    self.calls[tensor.grad_fn] = self._call(name)
                if lost:
                    self.unfollowed.add(tensor.grad_fn)
        if node is not None and layer is not None:
            layer.exit = node
            self.layers[node] = layer
        if node is not None and operands is not None:
            self.operands[node] = operands
        return result

    def _require_current(self, name: str, args: Any, result: Any) -> None:
        """InputError where a call reads values that the network, left to itself, would have overwritten before."""
        if len(self._overwritten) and next(_tensors(result), None) is not None:
            for tensor in _tensors(args):
                if tensor in self._overwritten or (tensor._base is not None and tensor._base in self._overwritten):
                    raise InputError(
                        f"the network reads by {self._call(name)} a value that it changed in place through a view: set"
                        " inplace=False there"
                    )

    def _is_from_images(self, tensor: Tensor) -> bool:
        return tensor in self._from_images or (tensor._base is not None and tensor._base in self._from_images)

    def _kind(self, function: Any, args: Any, kwargs: Any) -> str | None:
        """The kind of the layer that the call is, None if it is none, or one that no rule fits."""
        kind = _KIND.get(function)
        first = args[0] if args else kwargs.get("input")
        if not (isinstance(first, Tensor) and first.requires_grad):
            return None
        if function in _SUMS:
            axes = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
            axes = (axes,) if isinstance(axes, int) else axes
            inner = isinstance(axes, tuple | list) and axes and all(isinstance(a, int) and a % first.ndim for a in axes)
            return kind if inner else None  # a sum over the batch mixes images
        if function is F.batch_norm:
            bound = inspect.signature(function).bind(*args, **kwargs).arguments
            return None if bound.get("training") else kind
        if function is F.pad:
            bound = inspect.signature(function).bind(*args, **kwargs).arguments
            return None if bound.get("mode", "constant") == "constant" and bound.get("value") else kind
        return kind

    def _call(self, function: str) -> Call:
        """Named after the innermost of the model's modules whose method is running."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and module in self._names:
                name = self._names[module]
                return Call(function, f"the layer {name or 'model'!r} of type {type(module).__name__}")
            frame = frame.f_back
        return Call(function)


def _has_own_functions(kind: type) -> bool:
    """Whether a class of tensors decides itself what torch's functions do."""
    own: Any = getattr(kind, "__torch_function__", None)
    usual: Any = (Tensor.__torch_function__, nn.Parameter.__torch_function__)
    return own is not None and not any(getattr(own, "__func__", own) is getattr(u, "__func__", u) for u in usual)


def _operands(name: str, args: Any, kwargs: Any) -> list[tuple[Tensor, int]] | None:
    """What a sum of two tensors adds, (first, second); none for a sum with the number 0, None for another."""
    first, second = args[0] if args else kwargs.get("input"), args[1] if len(args) > 1 else kwargs.get("other")
    if isinstance(first, Tensor) != isinstance(second, Tensor) and (
        first == 0 if isinstance(second, Tensor) else second == 0
    ):
        return []
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return None
    alpha = kwargs.get("alpha", 1)
    in_place = name.endswith("_") and name not in ("__add__", "__radd__")
    first = first.detach().clone() if in_place else first.detach()
    second = second.detach() if alpha == 1 else alpha * second.detach()
    return [(first, first._version), (second, second._version)]


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
