"""What a step of a network does to windows of its input: the layers that incremental inference knows.

A step is *sliding* (an output place reads a window of input places: convolution, pooling), *pointwise* (it reads the
same place of each input: activations, normalisation, addition, concatenation) or not known, in which case it is
computed in full.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from aopc.engine.incremental.prepacked import PrepackedConvolution
from aopc.engine.incremental.windows import Slide
from aopc.models.zoo.normalisation import ChannelNorm


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

_POINTWISE_MODULES: set[type] = {
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.LogSigmoid,
    nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.PReLU, nn.Identity,
    nn.LocalResponseNorm, ChannelNorm,
}  # fmt: skip
_POINTWISE_FUNCTIONS: set[Any] = {
    torch.relu, functional.relu, functional.relu6, functional.leaky_relu, functional.elu, functional.gelu,
    functional.silu, functional.hardswish, functional.hardsigmoid, torch.sigmoid, torch.tanh, torch.abs, torch.clamp,
}  # fmt: skip
_ARITHMETIC: set[Any] = {
    operator.add, operator.iadd, torch.add, operator.sub, torch.sub, operator.mul, operator.imul, torch.mul,
    operator.truediv, torch.div, torch.true_divide,
}  # fmt: skip
_POINTWISE_METHODS = {"relu", "relu_", "sigmoid", "tanh", "clamp", "contiguous"}
_ARITHMETIC_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_"}
_CONCATENATION = {torch.cat, torch.concat}


def kind_of(node: fx.Node, graph: fx.GraphModule, shapes: dict[fx.Node, Any], *, dropout: bool) -> Kind:
    """What a node of a traced network does, None if it is not known, as dropout that is active.

    ``shapes``: (C, H, W) of each node whose value is a batch of maps, None of the others.
    """
    if shapes.get(node) is None:
        return None
    if node.op == "call_module":
        module, source = graph.get_submodule(str(node.target)), node.all_input_nodes[0]
        hooked = module._forward_hooks or module._forward_pre_hooks
        if hooked or node.args != (source,) or node.kwargs or shapes[source] is None:
            return None
        return _kind_of_module(module, shapes[source], shapes[node], dropout)
    return Pointwise() if _is_pointwise(node, graph, shapes, dropout) else None


def _kind_of_module(module: nn.Module, source: tuple[int, ...], shape: tuple[int, ...], dropout: bool) -> Kind:
    # Only these types themselves: what a subclass computes is its own business.
    if type(module) in _POINTWISE_MODULES:
        return Pointwise()
    if type(module) in (nn.Dropout, nn.Dropout2d):
        return None if dropout or module.training else Pointwise()
    if type(module) is nn.BatchNorm2d:
        return None if module.running_mean is None or module.training else Pointwise()
    if type(module) is nn.Conv2d:
        return _convolution(module)
    if type(module) is nn.MaxPool2d and not module.return_indices:
        return _maximum(module)
    if type(module) is nn.AvgPool2d:
        return _average(module, source, shape)
    return None


def _is_pointwise(node: fx.Node, graph: fx.GraphModule, shapes: dict[fx.Node, Any], dropout: bool) -> bool:
    """Whether the call of a function or method is."""
    if node.target in (_ARITHMETIC if node.op == "call_function" else _ARITHMETIC_METHODS):
        return _same_places(node, graph, shapes)
    if node.target in (_POINTWISE_FUNCTIONS if node.op == "call_function" else _POINTWISE_METHODS):
        return len(node.all_input_nodes) == 1 and bool(shapes.get(node.all_input_nodes[0]))
    if node.target in _CONCATENATION:
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        tensors = node.args[0] if node.args else ()
        return dim in (1, -3) and isinstance(tensors, list | tuple) and all(shapes.get(t) for t in tensors)
    if node.target is functional.dropout and not dropout:
        return not (node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True))
    return False


def _same_places(node: fx.Node, graph: fx.GraphModule, shapes: dict[fx.Node, Any]) -> bool:
    """Whether operands are maps of one height and width, numbers, or constants without extent."""
    for operand in (*node.args, *node.kwargs.values()):
        if not isinstance(operand, fx.Node):
            continue
        if operand.op == "get_attr":
            constant = attribute(graph, str(operand.target))
            if not isinstance(constant, Tensor) or any(n != 1 for n in constant.shape[-2:]):
                return False
        elif not shapes.get(operand) or shapes[operand][1:] != shapes[node][1:]:
            return False
    return True


def attribute(graph: fx.GraphModule, path: str) -> Any:
    """A parameter, buffer or constant of a traced network, by its dotted path."""
    return operator.attrgetter(path)(graph)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (value, value)


def _slides(*sizes: tuple[int, int]) -> tuple[Slide, Slide]:
    """Of rows and columns, given kernel, stride, padding and dilation of both."""
    rows, columns = zip(*sizes, strict=True)
    return Slide(*rows), Slide(*columns)


def _convolution(module: nn.Conv2d) -> Kind:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    slides = _slides(*map(_pair, (module.kernel_size, module.stride, module.padding, module.dilation)))
    return Sliding(*slides, 0.0, PrepackedConvolution(module))


def _maximum(module: nn.MaxPool2d) -> Kind:
    kernel, stride, dilation = _pair(module.kernel_size), _pair(module.stride), _pair(module.dilation)

    def apply(window: Tensor) -> Tensor:
        return functional.max_pool2d(window, kernel, stride, 0, dilation)

    return Sliding(*_slides(kernel, stride, _pair(module.padding), dilation), -torch.inf, apply)


def _average(module: nn.AvgPool2d, source: tuple[int, ...], shape: tuple[int, ...]) -> Kind:
    kernel, stride, padding = _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)
    slides = _slides(kernel, stride, padding, (1, 1))
    # Windows that reach beyond the padded border are averaged over fewer places.
    whole = all(
        (length + 2 * slide.padding - slide.kernel) // slide.stride + 1 == outputs
        for slide, length, outputs in zip(slides, source[1:], shape[1:], strict=True)
    )
    if not whole or (any(padding) and not module.count_include_pad):
        return None

    def apply(window: Tensor) -> Tensor:
        return functional.avg_pool2d(window, kernel, stride, 0, divisor_override=module.divisor_override)

    return Sliding(*slides, 0.0, apply)
