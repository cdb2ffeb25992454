"""How a network is computed when one region of its input changes: layer by layer, which window of each.

The network is traced (torch.fx). From the input on, each step whose kind is known
(:mod:`aopc.engine.incremental.layers`) is *windowed*: only the window of its output that the region can
change is computed anew. From the first step on that is not known, or whose window is nearly its
whole output, everything behind it is *dense*: computed in full, by the network's own modules.

Windows go through the network in batches, so all in a batch have one size. Near the image's border, and
by how a region lies to the strides, they are smaller than the largest by far. So the regions are
divided into classes along each axis, and each pair of classes has a variant of the steps with windows
of its own size.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from aopc.engine.batches import Work, bytes_of_weights, macs_of, trajectory_batch
from aopc.engine.incremental.layers import Kind, Sliding, kind_of
from aopc.engine.incremental.trace import UntraceableError, require_no_aliases, shapes_of, traced
from aopc.engine.incremental.windows import Spans, size_classes
from aopc.perturbation.partition import Grid

#: Size classes of regions along each axis. More of them save little (CaffeNet: 1, 2, 3 and 4 classes
#: cost 0.32, 0.26, 0.25 and 0.24 of a full pass) and make batches smaller.
CLASSES = 2
#: Multiply–adds of a batch of windows below which what a batch costs by itself is more than what
#: classes save.
WORTH_A_TURN = 10**9
#: A window that covers more of its map than this is no longer worth gathering and putting back.
DENSE_ABOVE = 0.9


@dataclass(frozen=True)
class Box:
    """The window of one map that each region can change: spans of rows and of columns."""

    rows: Spans
    columns: Spans

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.size, self.columns.size

    @property
    def share(self) -> float:
        """Of the map's places."""
        height, width = self.size
        return height * width / (self.rows.length * self.columns.length)

    def same_window(self, other: "Box") -> bool:
        return self.rows.same_window(other.rows) and self.columns.same_window(other.columns)

    def union(self, other: "Box") -> "Box":
        return Box(self.rows.union(other.rows), self.columns.union(other.columns))

    def through(self, kind: Sliding, shape: tuple[int, ...]) -> "Box":
        return Box(
            self.rows.through(kind.rows, shape[1]), self.columns.through(kind.columns, shape[2])
        )


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
    grid
        The regions.
    first
        The input's step.
    variants
        The other windowed steps in order, for each pair of size classes.
    variant_of_region
        (R,) int64: which variant a region is computed by.
    dense
        The nodes behind them in order.
    handed_over
        Nodes whose whole value the dense part needs, each with its store.
    stores
        All of them.
    work, dense_work
        Of a full pass, and of the dense part.
    step_macs
        Multiply–adds in one step on the average over regions.
    """

    graph: fx.GraphModule
    grid: Grid
    first: Step
    variants: list[list[Step]]
    variant_of_region: NDArray[np.int64]
    dense: list[fx.Node]
    handed_over: dict[fx.Node, Store]
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


def plan_network(
    model: nn.Module, image: Tensor, grid: Grid, count: int, *, dropout: bool = False
) -> Plan:
    """Plan the steps of a network.

    Parameters
    ----------
    model
        In evaluation mode.
    image
        (1, C, H, W), channels last in memory; others will be of the same shape.
    grid
        The regions.
    count
        Trajectories that there will be: with few of them, or a small network, all regions are in
        one class.
    dropout
        Whether dropout layers will be active: the network is dense from the first one on.

    Raises
    ------
    UntraceableError
        If the network cannot be planned.
    """
    graph = traced(model)
    shapes = shapes_of(graph, image)
    nodes = [n for n in graph.graph.nodes if n.op != "get_attr"]
    inputs = [n for n in nodes if n.op == "placeholder"]
    if len(inputs) != 1:
        raise UntraceableError(f"its forward pass takes {len(inputs)} arguments")
    boxes = {
        inputs[0]: Box(
            Spans.of_regions(grid.height, grid.size), Spans.of_regions(grid.width, grid.size)
        )
    }
    kinds: dict[fx.Node, Kind] = {}
    dense: list[fx.Node] = []
    for node in nodes[1:]:
        sources = [s for s in node.all_input_nodes if s.op != "get_attr"]
        kind = kind_of(node, graph, shapes, dropout=dropout) if sources else None
        if kind is None or any(s not in boxes for s in sources):
            dense.append(node)
            continue
        box = _box(kind, [boxes[s] for s in sources], shapes[node])
        if box.share > DENSE_ABOVE and isinstance(kind, Sliding):
            dense.append(node)
            continue
        boxes[node], kinds[node] = box, kind
    needed = _needed(kinds, dense)
    windowed = [n for n in nodes if n in needed]
    require_no_aliases(graph, needed)
    macs = {n: _macs(n, graph, n.meta["numel"]) for n in nodes}

    def planned(classes: int) -> Plan:
        stores = _Stores(shapes)
        variants: list[list[tuple[fx.Node, Box, dict[fx.Node, Read | None]]]] = []
        variant_of_region, share = np.zeros((grid.rows, grid.columns), dtype=np.int64), 0.0
        for rows, columns in _pairs_of_classes(windowed, boxes, macs, classes):
            own = _boxes(inputs[0], windowed, kinds, shapes, grid, rows, columns)
            region = rows[:, None] & columns[None, :]
            variant_of_region[region] = len(variants)
            variants.append([(n, own[n], _reads(n, kinds[n], own, stores)) for n in windowed])
            share += region.mean() * sum(macs[n] * own[n].share for n in windowed)
        handed_over = {
            source: stores.any_of(source)
            for node in dense
            for source in node.all_input_nodes
            if source in boxes
        }
        return Plan(
            graph=graph,
            grid=grid,
            first=Step(inputs[0], None, boxes[inputs[0]], {}, stores.of(inputs[0])),
            variants=[
                [Step(n, kinds[n], box, reads, stores.of(n)) for n, box, reads in variant]
                for variant in variants
            ],
            variant_of_region=variant_of_region.ravel(),
            dense=dense,
            handed_over=handed_over,
            stores=stores.all,
            work=_work(nodes, macs, graph),
            dense_work=_work(dense, macs, graph),
            step_macs=round(share + sum(macs[n] for n in dense)),
        )

    plan = planned(1)
    at_once = trajectory_batch(model, plan.values * image.element_size())
    turn = plan.step_macs * min(count, at_once) / CLASSES**2
    return planned(CLASSES) if turn >= WORTH_A_TURN else plan


def _box(kind: Kind, sources: list[Box], shape: tuple[int, ...]) -> Box:
    """The window of a node, given those of its inputs."""
    if isinstance(kind, Sliding):
        return sources[0].through(kind, shape)
    box = sources[0]
    for source in sources[1:]:
        box = box.union(source)
    return box


def _boxes(
    start: fx.Node,
    windowed: list[fx.Node],
    kinds: dict[fx.Node, Kind],
    shapes: dict[fx.Node, Any],
    grid: Grid,
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> dict[fx.Node, Box]:
    """The windows of all nodes for one pair of size classes."""
    boxes = {
        start: Box(
            Spans.of_regions(grid.height, grid.size, rows),
            Spans.of_regions(grid.width, grid.size, columns),
        )
    }
    for node in windowed:
        sources = [boxes[s] for s in node.all_input_nodes if s.op != "get_attr"]
        boxes[node] = _box(kinds[node], sources, shapes[node])
    # Its windows are written with one size for all.
    boxes[start] = Box(
        Spans.of_regions(grid.height, grid.size), Spans.of_regions(grid.width, grid.size)
    )
    return boxes


def _pairs_of_classes(
    windowed: list[fx.Node], boxes: dict[fx.Node, Box], macs: dict[fx.Node, int], count: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """The members of each pair of size classes, (rows,) and (columns,)."""
    costly = [n for n in windowed if macs[n]]
    axes = []
    for spans_of in (lambda box: box.rows, lambda box: box.columns):
        spans = [spans_of(boxes[n]) for n in (costly or list(boxes))]
        weights = [macs[n] / (boxes[n].rows.length * boxes[n].columns.length) for n in costly] or [
            1.0
        ] * len(spans)
        axes.append(size_classes(weights, spans, count))
    return [(rows, columns) for rows, columns in product(*axes)]


def _needed(kinds: dict[fx.Node, Kind], dense: list[fx.Node]) -> set[fx.Node]:
    """The windowed nodes that the dense part depends on: all, unless the network computes in vain."""
    needed: set[fx.Node] = set()
    queue = [s for n in dense for s in n.all_input_nodes]
    while queue:
        node = queue.pop()
        if node in kinds and node not in needed:
            needed.add(node)
            queue.extend(node.all_input_nodes)
    return needed


class _Stores:
    """Which nodes' values are kept, and with which borders."""

    def __init__(self, shapes: dict[fx.Node, Any]) -> None:
        self._shapes = shapes
        self._by_node: dict[fx.Node, dict[float, Store]] = {}

    def with_border(self, node: fx.Node, fill: float, before: Any, after: Any) -> Store:
        found = self._by_node.setdefault(node, {})
        if fill not in found:
            found[fill] = Store(node, self._shapes[node], fill)
        store = found[fill]
        for axis in (0, 1):
            store.before[axis] = max(store.before[axis], before[axis])
            store.after[axis] = max(store.after[axis], after[axis])
        return store

    def any_of(self, node: fx.Node) -> Store:
        found = self._by_node.get(node)
        return next(iter(found.values())) if found else self.with_border(node, 0.0, (0, 0), (0, 0))

    def of(self, node: fx.Node) -> list[Store]:
        return list(self._by_node.get(node, {}).values())

    @property
    def all(self) -> list[Store]:
        return [s for found in self._by_node.values() for s in found.values()]


def _reads(
    node: fx.Node, kind: Kind, boxes: dict[fx.Node, Box], stores: _Stores
) -> dict[fx.Node, Read | None]:
    box = boxes[node]
    reads: dict[fx.Node, Read | None] = {}
    for source in node.all_input_nodes:
        if source.op == "get_attr":
            continue
        if isinstance(kind, Sliding) and not kind.is_pointwise:
            rows, columns = kind.rows, kind.columns
            size = rows.reads(box.size[0]), columns.reads(box.size[1])
            first = (
                box.rows.starts * rows.stride - rows.padding,
                box.columns.starts * columns.stride - columns.padding,
            )
            lengths = boxes[source].rows.length, boxes[source].columns.length
            after = [
                max(0, int(f.max()) + n - length)
                for f, n, length in zip(first, size, lengths, strict=True)
            ]
            store = stores.with_border(source, kind.fill, (rows.padding, columns.padding), after)
            reads[source] = Read(store, *first, size)
        elif box.same_window(boxes[source]):
            reads[source] = None
        else:
            store = stores.any_of(source)
            reads[source] = Read(store, box.rows.starts, box.columns.starts, box.size)
    return reads


def _work(nodes: list[fx.Node], macs: dict[fx.Node, int], graph: fx.GraphModule) -> Work:
    modules = {str(n.target) for n in nodes if n.op == "call_module"}
    return Work(
        largest_map=max(n.meta["numel"] for n in nodes),
        macs=sum(macs[n] for n in nodes),
        weights=sum(bytes_of_weights(graph.get_submodule(name)) for name in modules),
    )


def _macs(node: fx.Node, graph: fx.GraphModule, outputs: int) -> int:
    """Multiply–adds of a node for one image."""
    return (
        macs_of(graph.get_submodule(str(node.target)), outputs) if node.op == "call_module" else 0
    )
