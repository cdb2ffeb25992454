"""A network as a graph of its steps (torch.fx): what is needed to compute some of them otherwise."""

import copy
import operator
from typing import Any

from torch import Tensor, fx, nn

from aopc.engine.trajectories import Layout


class UntraceableError(Exception):
    """The network cannot be planned; the message says why."""


def traced(model: nn.Module) -> fx.GraphModule:
    """The network's graph over a copy of its modules that shares parameters and buffers; UntraceableError if its
    forward pass branches on data, uses what torch.fx does not follow, or has hooks on blocks of layers.
    """
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    try:
        # A copy, since a forward pass that keeps a record would keep the tracer's own values.
        copied = copy.deepcopy(model, shared)
        graph = fx.GraphModule(copied, _Tracer().trace(copied))
    except Exception as error:  # tracing runs the user's own code, which may fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UntraceableError(f"its forward pass cannot be traced ({reason})") from error
    leaves = {str(n.target) for n in graph.graph.nodes if n.op == "call_module"}
    for name, module in model.named_modules():
        inside = any(name == leaf or name.startswith(f"{leaf}.") for leaf in leaves)
        if not inside and (module._forward_hooks or module._forward_pre_hooks):
            raise UntraceableError(f"the block {name or 'model'!r} has forward hooks")
    return graph


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.LocalResponseNorm) or super().is_leaf_module(m, module_qualified_name)


def shapes_of(graph: fx.GraphModule, image: Tensor) -> dict[fx.Node, Any]:
    """(C, H, W) of each node that gives one map an image, None of the others; by a run on ``image``."""
    shapes: dict[fx.Node, Any] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            maps = isinstance(value, Tensor) and value.ndim == 4 and len(value) == 1
            shapes[n] = tuple(value.shape[1:]) if maps and n.op != "get_attr" else None
            n.meta["numel"] = value.numel() if isinstance(value, Tensor) else 0
            return value

    Layout()(lambda layout: Recorder(graph).run(image.clone(memory_format=layout)))
    return shapes


def require_no_aliases(graph: fx.GraphModule, windowed: list[fx.Node]) -> None:
    """UntraceableError if a windowed step changes in place a map that another one reads: it is kept as it was."""
    for node in windowed:
        source = node.args[0] if _in_place(node, graph) else None
        while isinstance(source, fx.Node):
            if len(source.users) > 1:
                raise UntraceableError(f"its step {node.name} changes in place what other steps read too")
            source = source.args[0] if _passes_on(source, graph) else None


def _in_place(node: fx.Node, graph: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_")
    changing = (operator.iadd, operator.imul, operator.isub, operator.itruediv)
    return node.target in changing or any(a is True for a in (*node.args[1:], *node.kwargs.values()))


def _passes_on(node: fx.Node, graph: fx.GraphModule) -> bool:
    """Whether a node's value is its input's own memory."""
    if _in_place(node, graph):
        return True
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), nn.Identity | nn.Dropout | nn.Dropout2d)
    return node.target == "contiguous"
