"""How a network is computed when one region of its input changes: layer by layer, which window of each.

The network is traced (torch.fx). From the input on, each step whose kind is known
(:mod:`aopc.engine.incremental.layers`) is *windowed*: only the window of its output that the region can change is
computed anew. From the first step on that is not known, or whose window is nearly its whole output, everything behind
it is *dense*: computed in full, by the network's own modules.

Windows go through the network in batches, so all in a batch have one size. Near the image's border, and by how a
region lies to the strides, they are smaller than the largest by far. So the regions are divided into classes along
each axis, and each pair of classes has a variant of the steps with windows of its own size.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from aopc.engine.batches import Work, bytes_of_weights, macs_of, trajectory_batch
from aopc.engine.incremental.layers import Kind, Sliding, kind_of
from aopc.engine.incremental.trace import Traced, UntraceableError, require_no_aliases, traced
from aopc.engine.incremental.windows import Spans, size_classes
from aopc.perturbation.partition import Grid

#: Size classes of regions along each axis. More of them save little (CaffeNet: 1, 2, 3 and 4 classes cost 0.32, 0.26,
#: 0.25 and 0.24 of a full pass) and make batches smaller.
CLASSES = 2
#: Multiply–adds of a batch of windows below which what a batch costs by itself is more than what classes save.
WORTH_A_TURN = 10**9
#: A window that covers more of its map than this is no longer worth gathering and putting back.
DENSE_ABOVE = 0.9


@dataclass(frozen=True)
class Box:
    """The window of one map that each region can change: spans of rows and of columns."""

    rows: Spans
    columns: Spans

    @classmethod
    def of_regions(
        cls, grid: Grid, rows: NDArray[np.bool_] | None = None, columns: NDArray[np.bool_] | None = None
    ) -> "Box":
        """The regions themselves, the members of a pair of size classes or all."""
        return cls(Spans.of_regions(grid.height, grid.size, rows), Spans.of_regions(grid.width, grid.size, columns))

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.size, self.columns.size

    @property
    def places(self) -> int:
        """Of the map."""
        return self.rows.length * self.columns.length

    @property
    def share(self) -> float:
        """Of the map's places."""
        return self.rows.size * self.columns.size / self.places

    def same_window(self, other: "Box") -> bool:
        return self.rows.same_window(other.rows) and self.columns.same_window(other.columns)

    def union(self, other: "Box") -> "Box":
        return Box(self.rows.union(other.rows), self.columns.union(other.columns))

    def through(self, kind: Sliding, shape: tuple[int, ...]) -> "Box":
        return Box(self.rows.through(kind.rows, shape[1]), self.columns.through(kind.columns, shape[2]))


@dataclass(eq=False)
class Store:
    """The whole value of one node, kept for each trajectory and updated window by window.

    Attributes
    ----------
    node, shape
        Whose value, (C, H, W).
    fill
        What its border holds.
    before, after
        Width of the border, (rows, columns), on the near and on the far side.
    """

    node: fx.Node
    shape: tuple[int, ...]
    fill: float
    before: list[int] = field(default_factory=lambda: [0, 0])
    after: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def height(self) -> int:
        return self.before[0] + self.shape[1] + self.after[0]

    @property
    def width(self) -> int:
        return self.before[1] + self.shape[2] + self.after[1]

    @property
    def values(self) -> int:
        """Of one trajectory."""
        return self.shape[0] * self.height * self.width


@dataclass(frozen=True, eq=False)
class Read:
    """Windows taken from a store: first row and column of each region's, border included."""

    store: Store
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Step:
    """One windowed node.

    Attributes
    ----------
    node, kind, box
        What is computed, and where.
    reads
        By input: where its window is taken from; None: the window just computed.
    writes
        The stores of its value.
    """

    node: fx.Node
    kind: Kind
    box: Box
    reads: dict[fx.Node, Read | None]
    writes: list[Store]


@dataclass(frozen=True)
class Plan:
    """A network's windowed steps and its dense rest.

    Attributes
    ----------
    graph
        The traced network; it shares its parameters with the original.
    first
        The input's step.
    variants
        The other windowed steps in order, for each pair of size classes.
    variant_of_region
        (R,) int64: which variant a region is computed by.
    handed_over
        Nodes whose whole value the dense part needs, each with its store.
    dense
        What is behind them, of the maps handed over to the class scores.
    work, dense_work, step_macs
        Of a full pass, of the dense part, and multiply–adds in one step on the average over regions.
    """

    graph: fx.GraphModule
    grid: Grid
    first: Step
    variants: list[list[Step]]
    variant_of_region: NDArray[np.int64]
    handed_over: dict[fx.Node, Store]
    dense: fx.GraphModule
    stores: list[Store]
    work: Work
    dense_work: Work
    step_macs: int

    @property
    def ratio(self) -> float:
        """Multiply–adds of a step as a share of a full pass."""
        return self.step_macs / self.work.macs if self.work.macs else 1.0

    @property
    def values(self) -> int:
        """Numbers that the stores hold for one trajectory."""
        return sum(store.values for store in self.stores)


def plan_network(model: nn.Module, image: Tensor, grid: Grid, count: int, *, dropout: bool = False) -> Plan:
    """Plan the steps of a network in evaluation mode; UntraceableError if it cannot be done.

    ``image`` is (1, C, H, W), channels last in memory; others will be of the same shape. ``count`` is how many
    trajectories there will be: with few of them, or a small network, all regions are in one class. Where ``dropout``
    will be active, the network is dense from its first layer of that kind on.
    """
    found = traced(model, image)
    graph, shapes = found.graph, found.shapes
    nodes = [n for n in graph.graph.nodes if n.op != "get_attr"]
    inputs = [n for n in nodes if n.op == "placeholder"]
    if len(inputs) != 1:
        raise UntraceableError(f"its forward pass takes {len(inputs)} arguments")
    start = inputs[0]
    boxes = {start: Box.of_regions(grid)}
    kinds: dict[fx.Node, Kind] = {}
    dense: list[fx.Node] = []
    for node in nodes[1:]:
        sources = _sources(node)
        kind = kind_of(node, found, dropout=dropout) if sources else None
        if kind is None or any(s not in boxes for s in sources):
            dense.append(node)
            continue
        box = _box(kind, [boxes[s] for s in sources], shapes[node])
        if box.share > DENSE_ABOVE and isinstance(kind, Sliding):
            dense.append(node)
        else:
            boxes[node], kinds[node] = box, kind
    # Only what the dense part depends on: all, unless the network computes in vain.
    needed = set(dense)
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    windowed = [n for n in nodes if n in kinds and n in needed]
    require_no_aliases(found, list(boxes))
    handed_over = list(dict.fromkeys(s for node in dense for s in node.all_input_nodes if s in boxes))
    behind = _part(graph, handed_over, dense)
    macs = {
        n: macs_of(graph.get_submodule(str(n.target)), found.sizes[n]) if n.op == "call_module" else 0 for n in nodes
    }

    def planned(classes: int) -> Plan:
        stores = _Stores(shapes)
        variants: list[list[Step]] = []
        variant_of_region, share = np.zeros((grid.rows, grid.columns), dtype=np.int64), 0.0
        for rows, columns in _pairs_of_classes(windowed, boxes, macs, classes):
            own = {start: Box.of_regions(grid, rows, columns)}
            for node in windowed:
                own[node] = _box(kinds[node], [own[s] for s in _sources(node)], shapes[node])
            # The input's windows are written with one size for all.
            own[start] = boxes[start]
            region = rows[:, None] & columns
            variant_of_region[region] = len(variants)
            # The lists of stores are complete when all variants are.
            variants.append(
                [Step(n, kinds[n], own[n], _reads(n, kinds[n], own, stores), stores.of[n]) for n in windowed]
            )
            share += region.mean() * sum(macs[n] * own[n].share for n in windowed)
        return Plan(
            graph=graph,
            grid=grid,
            first=Step(start, None, boxes[start], {}, stores.of[start]),
            variants=variants,
            variant_of_region=variant_of_region.ravel(),
            handed_over={n: stores.any_of(n) for n in handed_over},
            dense=behind,
            stores=[store for found in stores.of.values() for store in found],
            work=_work(nodes, macs, found),
            dense_work=_work(dense, macs, found),
            step_macs=round(share + sum(macs[n] for n in dense)),
        )

    plan = planned(1)
    at_once = trajectory_batch(model, plan.values * image.element_size())
    turn = plan.step_macs * min(count, at_once) / CLASSES**2
    return planned(CLASSES) if turn >= WORTH_A_TURN else plan


def _part(graph: fx.GraphModule, inputs: list[fx.Node], nodes: list[fx.Node]) -> fx.GraphModule:
    """The part of a network that computes some nodes in their order, given the values of others."""
    part = fx.Graph()
    copies = {node: part.placeholder(node.name) for node in inputs}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:
            copies[node] = part.node_copy(node, copied)
        return copies[node]

    for node in nodes:
        copied(node)
    return fx.GraphModule(graph, part)


def _sources(node: fx.Node) -> list[fx.Node]:
    """Whose values, that differ by image, a node reads."""
    return [s for s in node.all_input_nodes if s.op != "get_attr"]


def _box(kind: Kind, sources: list[Box], shape: tuple[int, ...]) -> Box:
    """The window of a node, given those of its inputs."""
    return sources[0].through(kind, shape) if isinstance(kind, Sliding) else reduce(Box.union, sources)


def _pairs_of_classes(
    windowed: list[fx.Node], boxes: dict[fx.Node, Box], macs: dict[fx.Node, int], count: int
) -> Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """The members of each pair of size classes, (rows,) and (columns,)."""
    costly = [n for n in windowed if macs[n]]
    counted = [boxes[n] for n in costly or boxes]
    weights = [macs[n] / boxes[n].places for n in costly] or [1.0] * len(counted)
    rows = size_classes(weights, [box.rows for box in counted], count)
    columns = size_classes(weights, [box.columns for box in counted], count)
    return product(rows, columns)


class _Stores:
    """Which nodes' values are kept, and with which borders."""

    def __init__(self, shapes: dict[fx.Node, Any]) -> None:
        self._shapes = shapes
        self.of: defaultdict[fx.Node, list[Store]] = defaultdict(list)

    def with_border(
        self, node: fx.Node, fill: float, before: Sequence[int] = (0, 0), after: Sequence[int] = (0, 0)
    ) -> Store:
        store = next((s for s in self.of[node] if s.fill == fill), None)
        if store is None:
            store = Store(node, self._shapes[node], fill)
            self.of[node].append(store)
        store.before = [max(widths) for widths in zip(store.before, before, strict=True)]
        store.after = [max(widths) for widths in zip(store.after, after, strict=True)]
        return store

    def any_of(self, node: fx.Node) -> Store:
        return self.of[node][0] if self.of[node] else self.with_border(node, 0.0)


def _reads(node: fx.Node, kind: Kind, boxes: dict[fx.Node, Box], stores: _Stores) -> dict[fx.Node, Read | None]:
    box = boxes[node]
    reads: dict[fx.Node, Read | None] = {}
    for source in _sources(node):
        if isinstance(kind, Sliding) and not kind.is_pointwise:
            rows, columns = kind.rows, kind.columns
            size = rows.reads(box.size[0]), columns.reads(box.size[1])
            starts = (
                box.rows.starts * rows.stride - rows.padding,
                box.columns.starts * columns.stride - columns.padding,
            )
            lengths = boxes[source].rows.length, boxes[source].columns.length
            beyond = [int(s.max()) + n - length for s, n, length in zip(starts, size, lengths, strict=True)]
            store = stores.with_border(source, kind.fill, (rows.padding, columns.padding), beyond)
            reads[source] = Read(store, *starts, size)
        elif box.same_window(boxes[source]):
            reads[source] = None
        else:
            reads[source] = Read(stores.any_of(source), box.rows.starts, box.columns.starts, box.size)
    return reads


def _work(nodes: list[fx.Node], macs: dict[fx.Node, int], found: Traced) -> Work:
    modules = {str(n.target) for n in nodes if n.op == "call_module"}
    return Work(
        largest_map=max(found.sizes[n] for n in nodes),
        macs=sum(macs[n] for n in nodes),
        weights=sum(bytes_of_weights(found.graph.get_submodule(name)) for name in modules),
    )
