"""What a step of a network does to windows of its input: the layers that incremental inference knows.

A step is *sliding* (an output place reads a window of input places: convolution, pooling), *pointwise*
(it reads the same place of each input: activations, normalisation, addition, concatenation) or not
known, in which case it is computed in full.
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
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid,
    nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign,
    nn.PReLU, nn.Identity, nn.LocalResponseNorm, ChannelNorm,
}  # fmt: skip
_DROPOUT: set[type] = {nn.Dropout, nn.Dropout2d}
_POINTWISE_FUNCTIONS: set[Any] = {
    torch.relu, functional.relu, functional.relu6, functional.leaky_relu, functional.elu,
    functional.gelu, functional.silu, functional.hardswish, functional.hardsigmoid,
    torch.sigmoid, torch.tanh, torch.abs, torch.clamp,
}  # fmt: skip
_ARITHMETIC: set[Any] = {
    operator.add, operator.iadd, torch.add, operator.sub, torch.sub, operator.mul, operator.imul,
    torch.mul, operator.truediv, torch.div, torch.true_divide,
}  # fmt: skip
_POINTWISE_METHODS = {"relu", "relu_", "sigmoid", "tanh", "clamp", "contiguous"}
_ARITHMETIC_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_"}
_CONCATENATION = {torch.cat, torch.concat}


def kind_of(
    node: fx.Node, graph: fx.GraphModule, shapes: dict[fx.Node, Any], *, dropout: bool
) -> Kind:
    """What a node of a traced network does, None if it is not known.

    Parameters
    ----------
    node, graph
        Of the trace.
    shapes
        (C, H, W) of each node whose value is a batch of maps, None of the others.
    dropout
        Whether dropout layers are active; they are not known then.
    """
    shape = shapes.get(node)
    if shape is None:
        return None
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        if _has_hooks(module) or len(node.args) != 1 or node.kwargs:
            return None
        return _kind_of_module(module, shapes[node.args[0]], shape, dropout)  # type: ignore[index]
    if node.op == "call_function":
        return _kind_of_function(node, shapes, dropout)
    if node.op == "call_method":
        if node.target in _POINTWISE_METHODS and _maps_of(node, shapes) == 1:
            return Pointwise()
        if node.target in _ARITHMETIC_METHODS and _same_places(node, graph, shapes):
            return Pointwise()
        return None
    return None


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _kind_of_module(
    module: nn.Module, source: tuple[int, ...] | None, shape: tuple[int, ...], dropout: bool
) -> Kind:
    kind = type(module)
    if source is None:
        return None
    if kind in _DROPOUT:
        return None if dropout or module.training else Pointwise()
    if kind in _POINTWISE_MODULES:
        return Pointwise()
    if isinstance(module, nn.BatchNorm2d) and kind is nn.BatchNorm2d:
        known = module.running_mean is not None and not module.training
        return Pointwise() if known else None
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
        return _convolution(module)
    if isinstance(module, nn.MaxPool2d) and kind is nn.MaxPool2d and not module.return_indices:
        return _pooling(
            module.kernel_size, module.stride, module.padding, module.dilation, -torch.inf
        )
    if isinstance(module, nn.AvgPool2d) and kind is nn.AvgPool2d:
        return _average(module, source, shape)
    return None


def _kind_of_function(node: fx.Node, shapes: dict[fx.Node, Any], dropout: bool) -> Kind:
    if node.target in _CONCATENATION:
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        tensors = node.args[0] if node.args else ()
        maps = isinstance(tensors, list | tuple) and all(shapes.get(t) for t in tensors)
        return Pointwise() if maps and dim in (1, -3) else None
    if node.target in _ARITHMETIC and _same_places(node, node.graph.owning_module, shapes):
        return Pointwise()
    if node.target in _POINTWISE_FUNCTIONS and _maps_of(node, shapes) == 1:
        return Pointwise()
    if node.target is functional.dropout and not dropout:
        training = node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True)
        return None if training else Pointwise()
    return None


def _maps_of(node: fx.Node, shapes: dict[fx.Node, Any]) -> int:
    """How many inputs are batches of maps, −1 if another input is computed too."""
    inputs = node.all_input_nodes
    return len(inputs) if all(shapes.get(i) for i in inputs) else -1


def _same_places(node: fx.Node, graph: Any, shapes: dict[fx.Node, Any]) -> bool:
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


def attribute(graph: Any, path: str) -> Any:
    """A parameter, buffer or constant of a traced network, by its dotted path."""
    for name in path.split("."):
        graph = getattr(graph, name)
    return graph


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (value, value)


def _convolution(module: nn.Conv2d) -> Kind:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None

    rows, columns = (
        Slide(module.kernel_size[i], module.stride[i], int(module.padding[i]), module.dilation[i])
        for i in (0, 1)
    )
    return Sliding(rows, columns, 0.0, PrepackedConvolution(module))


def _pooling(kernel: Any, stride: Any, padding: Any, dilation: Any, fill: float) -> Sliding:
    k, s, p, d = _pair(kernel), _pair(stride), _pair(padding), _pair(dilation)

    def apply(window: Tensor) -> Tensor:
        return functional.max_pool2d(window, k, s, 0, d)

    return Sliding(Slide(k[0], s[0], p[0], d[0]), Slide(k[1], s[1], p[1], d[1]), fill, apply)


def _average(module: nn.AvgPool2d, source: tuple[int, ...], shape: tuple[int, ...]) -> Kind:
    k, s, p = _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)
    # Windows that reach beyond the padded border are averaged over fewer places.
    whole = all(
        (n + 2 * q - a) // b + 1 == m
        for n, q, a, b, m in zip(source[1:], p, k, s, shape[1:], strict=True)
    )
    if not whole or (any(p) and not module.count_include_pad):
        return None

    def apply(window: Tensor) -> Tensor:
        return functional.avg_pool2d(window, k, s, 0, divisor_override=module.divisor_override)

    return Sliding(Slide(k[0], s[0], p[0], 1), Slide(k[1], s[1], p[1], 1), 0.0, apply)
