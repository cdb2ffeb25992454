"""A network as a graph of its steps (torch.fx), certified by the operators that run.

Tracing follows Python with stand-ins for tensors, and bakes in what Python decides by looking at them: ``isinstance``,
``hasattr``, numbers read from tensors, statements that change something in place. So the graph is believed only if a
pass of the network itself runs the same operators as the graph, in the same order, on the same values.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from aopc.engine.trajectories import Layout
from aopc.models.operators import Operation, Operators, Value, recorded
from aopc.models.structure import Findings, isolated, structure_of


class UntraceableError(Exception):
    """The network cannot be planned; the message says why."""


@dataclass(frozen=True)
class Traced:
    """A network's graph and what each step of it does.

    Attributes
    ----------
    graph
        Over a copy of the network's modules that shares parameters and buffers.
    shapes
        (C, H, W) of each node that gives one map an image, None of the others.
    sizes
        Numbers an image that a node gives.
    operations
        What a node runs on something that depends on the images.
    values
        What a node gives, each tensor as what it holds.
    """

    graph: fx.GraphModule
    shapes: dict[fx.Node, Any]
    sizes: dict[fx.Node, int]
    operations: dict[fx.Node, list[Operation]]
    values: dict[fx.Node, Any]


_certified: Findings[bool] = Findings()


def traced(model: nn.Module, image: Tensor) -> Traced:
    """The network's graph on images like ``image`` (1, C, H, W); UntraceableError if its forward pass branches on
    data, uses what torch.fx does not follow, keeps a state, draws random numbers, or has hooks on blocks of layers.
    """
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(image.device.type, enabled=False):
        graph = _graph_of(model)
        # Two images, so that what has one row for all is not taken for one that has a row an image.
        images = torch.cat([image.detach().clone(), image.flip(3)])
        layout = Layout()
        try:
            found, operators, output = layout(lambda layout: _run(graph, images.flip(2).clone(memory_format=layout)))
        except Exception as error:  # the graph is of the user's own code, which may fail in any way
            raise UntraceableError(f"its traced forward pass fails ({_line(error)})") from error
        key = tuple(image.shape), image.dtype, image.device

        def certify() -> bool:
            _require_same(isolated(model), layout(lambda layout: images.clone(memory_format=layout)), operators, output)
            return True

        _certified(model, key, certify)
    return found


def _graph_of(model: nn.Module) -> fx.GraphModule:
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    try:
        # A copy, since a forward pass that keeps a record would keep the tracer's own values.
        copied = copy.deepcopy(model, shared)
        graph = fx.GraphModule(copied, _Tracer().trace(copied))
    except Exception as error:  # tracing runs the user's own code, which may fail in any way
        raise UntraceableError(f"its forward pass cannot be traced ({_line(error)})") from error
    leaves = {str(n.target) for n in graph.graph.nodes if n.op == "call_module"}
    for name, module in model.named_modules():
        inside = any(name == leaf or name.startswith(f"{leaf}.") for leaf in leaves)
        if not inside and (module._forward_hooks or module._forward_pre_hooks):
            raise UntraceableError(f"the block {name or 'model'!r} has forward hooks")
    return graph


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.LocalResponseNorm) or super().is_leaf_module(m, module_qualified_name)


def _run(graph: fx.GraphModule, images: Tensor) -> tuple[Traced, Operators, Any]:
    """What each node does, by a run on two images."""
    found = Traced(graph, {}, {}, {}, {})

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            before = len(operators.operations)
            value = super().run_node(n)
            found.operations[n] = operators.operations[before:]
            found.values[n] = operators.values(value)
            maps = isinstance(found.values[n], Value) and value.ndim == 4 and len(value) == len(images)
            found.shapes[n] = tuple(value.shape[1:]) if maps and value.is_floating_point() else None
            found.sizes[n] = value.numel() // len(images) if isinstance(value, Tensor) else 0
            return value

    operators = Operators(images)
    with operators:
        output = Recorder(graph).run(images)
    return found, operators, operators.values(output)


def _require_same(model: nn.Module, images: Tensor, graphs: Operators, output: Any) -> None:
    """UntraceableError unless a pass of the network itself does what its graph did."""
    before = structure_of(model)
    seen, own = recorded(model, images)
    if seen.reads:
        raise UntraceableError(f"its forward pass looks at values, by {seen.reads[0]}")
    if seen.random or graphs.random:
        raise UntraceableError(f"its forward pass draws random numbers, by {(seen.random + graphs.random)[0]}")
    if seen.keeps or graphs.keeps or structure_of(model) != before:
        raise UntraceableError("its forward pass changes what it keeps from call to call")
    for mine, theirs in zip_longest(seen.operations, graphs.operations):
        if mine != theirs:
            names = [operation.name if operation else "nothing" for operation in (mine, theirs)]
            raise UntraceableError(
                f"its forward pass runs {names[0]} where its trace has {names[1]}, or on other values"
            )
    if tree_leaves(own) != tree_leaves(output):
        raise UntraceableError("its forward pass gives another output than its trace")


def require_no_aliases(found: Traced, windowed: Sequence[fx.Node]) -> None:
    """UntraceableError if a step reads what another one than its source made of a windowed map, by changing it in
    place: windows are handed from step to step as the graph says.
    """
    kept = {v.memory for node in windowed for v in tree_leaves(found.values[node]) if isinstance(v, Value)}
    first = 0
    for node, operations in found.operations.items():
        given = [(s, v) for s in node.all_input_nodes for v in tree_leaves(found.values[s]) if isinstance(v, Value)]
        for value in (v for operation in operations for v in operation.inputs):
            if value.version >= first:
                continue  # made within the step
            sources = [(s, v) for s, v in given if v.memory == value.memory]
            if not sources:
                raise UntraceableError(f"its step {node.name} reads what no other one hands to it")
            if value.memory in kept and all(v.version != value.version for _, v in sources):
                raise UntraceableError(
                    f"a step changes in place what its step {sources[0][0].name} gives to others too"
                )
        first += len(operations)
