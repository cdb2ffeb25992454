"""The incremental runner: per step, only what the removed region can change is computed.

Consecutive perturbed images differ in one region, and so do the maps of the first layers in one
window each. The maps of every trajectory are kept; a step gathers the windows of all trajectories
into one dense batch, computes them, and puts them back. The result is that of full passes up to
rounding; what can be windowed is the business of :mod:`aopc.perturbation.plan`.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from aopc.models.dropout import active_dropout
from aopc.models.inference import device_of
from aopc.perturbation.layers import Sliding
from aopc.perturbation.plan import Plan, Read, Step, Store
from aopc.perturbation.regions import Grid
from aopc.perturbation.trajectories import (
    Images,
    PixelRegions,
    Trajectories,
    is_layout_error,
    on_device,
    target_scores,
)


class IncrementalRunner:
    """Steps trajectories through a :class:`Plan`.

    Parameters
    ----------
    model
        In evaluation mode.
    plan
        Of the model.
    grid
        The regions.
    trajectories_at_once, images_at_once
        As of :class:`aopc.perturbation.trajectories.Runner`.
    batch_size
        Images a full forward pass.
    dropout_seed
        As of :func:`aopc.perturbation_curves`.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        grid: Grid,
        *,
        trajectories_at_once: int,
        images_at_once: int,
        batch_size: int,
        dropout_seed: int | None,
    ) -> None:
        self._model, self._plan, self._grid = model, plan, grid
        self._batch_size, self._dropout_seed = batch_size, dropout_seed
        self._device = device_of(model)
        self._regions = PixelRegions(grid, self._device)
        self._dense = _Dense(plan)
        self._kept: dict[Store, Tensor] = {}
        self._patterns: dict[tuple[int, int, int], Tensor] = {}
        self.trajectories_at_once = trajectories_at_once
        self.images_at_once = images_at_once

    def unperturbed(self, images: Images) -> tuple[Tensor, dict[Store, Tensor]]:
        """Class scores, and the stores of the whole images."""
        stores: dict[Store, Tensor] = {}
        scores = []
        for start in range(0, len(images.ids), self._batch_size):
            part = slice(start, start + self._batch_size)
            batch = images.pixels[part].permute(0, 3, 1, 2).clone(memory_format=torch.channels_last)
            with self._dropping(list(images.ids[part])):
                scores.append(_Recorder(self._plan, stores, start, len(images.ids)).run(batch))
        return torch.cat(scores), stores

    def run(
        self,
        images: Images,
        shared: dict[Store, Tensor],
        trajectories: Trajectories,
        steps: int,
    ) -> Tensor:
        count = len(trajectories)
        image = on_device(trajectories.image, self._model)
        target = on_device(trajectories.target, self._model)
        order = on_device(trajectories.order, self._model)
        regions = order[:, :steps].T.contiguous()
        kept = {store: self._copied(store, base, image) for store, base in shared.items()}
        first = self._plan.steps[0]
        changed = self._new_pixels(images, first, image, trajectories, order, regions)
        gathers = {
            read: _Places(read.store, read.rows, read.columns, regions)
            for step in self._plan.steps
            for read in step.reads.values()
            if read is not None
        }
        puts = {
            (step, store): _Places(store, step.box.rows.starts, step.box.columns.starts, regions)
            for step in self._plan.steps
            for store in step.writes
        }
        results = torch.empty(2, count, steps, device=self._device)
        rows = [images.ids[i] for i in trajectories.image]
        with self._dropping(rows):
            for number in range(steps):
                windows: dict[fx.Node, Tensor] = {}
                for step in self._plan.steps:
                    if step is first:
                        window = changed[number]
                    else:
                        inputs = {
                            source: windows[source]
                            if read is None
                            else self._gathered(read, kept[read.store], gathers[read].at[number])
                            for source, read in step.reads.items()
                        }
                        window = self._computed(step, inputs)
                    windows[step.node] = window
                    for store in step.writes:
                        places = puts[step, store].at[number]
                        self._put(window, step.box.size, store, kept[store], places)
                scores = self._dense(
                    {n: _whole(kept[store], store) for n, store in self._plan.handed_over.items()}
                )
                results[:, :, number] = target_scores(scores, target)
        return results

    def perturbed(self, images: Images, trajectories: Trajectories, step: int) -> Tensor:
        """Class scores of the images after ``step`` steps by a full pass of the model itself."""
        ranks = self._regions.pixel_ranks(on_device(trajectories.order, self._model))
        batch = torch.where(
            (ranks < step)[..., None],
            images.noise[on_device(trajectories.noise, self._model)],
            images.pixels[on_device(trajectories.image, self._model)],
        )
        with self._dropping([images.ids[i] for i in trajectories.image], self._model):
            return self._model(batch.permute(0, 3, 1, 2).contiguous())

    def _dropping(self, ids: list[str], model: nn.Module | None = None) -> Any:
        if self._dropout_seed is None:
            return nullcontext()
        return active_dropout(model or self._plan.graph, ids, self._dropout_seed)

    def _copied(self, store: Store, base: Tensor, image: Tensor) -> Tensor:
        """The store's maps for each trajectory, in memory that is used again and again."""
        count = len(image)
        kept = self._kept.get(store)
        if kept is None or len(kept) < count:
            kept = self._kept[store] = base.new_empty((count, *base.shape[1:]))
        return torch.index_select(base, 0, image, out=kept[:count])

    def _new_pixels(
        self,
        images: Images,
        first: Step,
        image: Tensor,
        trajectories: Trajectories,
        order: Tensor,
        regions: Tensor,
    ) -> Tensor:
        """(steps, B, C, h, w): the input's window at each step, the region's pixels replaced.

        Where the border cuts a region off, its window holds pixels of its neighbours too, which
        are replaced if their own region was removed before.
        """
        grid, (height, width) = self._grid, first.box.size
        starts = _starts(first.box.rows.starts, first.box.columns.starts, grid.width, self._device)
        pattern = self._pattern(height, width, grid.width)
        pixel = starts[regions][..., None] + pattern
        ranks = torch.empty_like(order)
        ranks.scatter_(1, order, torch.arange(order.shape[1], device=self._device).expand_as(order))
        region = self._regions.of_pixel.flatten()[pixel]
        rank = ranks.gather(1, region.transpose(0, 1).flatten(1)).view(len(order), len(regions), -1)
        step = torch.arange(len(regions), device=self._device)[:, None, None]
        removed = rank.transpose(0, 1) <= step
        noise = on_device(trajectories.noise, self._model)
        places = grid.height * grid.width
        channels = images.pixels.shape[3]
        old = images.pixels.reshape(-1, channels)[(image * places)[None, :, None] + pixel]
        new = images.noise.reshape(-1, channels)[(noise * places)[None, :, None] + pixel]
        pixels = torch.where(removed[..., None], new, old)
        return pixels.unflatten(2, (height, width)).permute(0, 1, 4, 2, 3)

    def _computed(self, step: Step, inputs: dict[fx.Node, Tensor]) -> Tensor:
        if isinstance(step.kind, Sliding):
            (window,) = inputs.values()
            return step.kind.apply(window)
        return _call(self._plan.graph, step.node, inputs)

    def _gathered(self, read: Read, maps: Tensor, starts: Tensor) -> Tensor:
        """(B, C, h, w): the windows of a store, each row of a window copied as a whole."""
        store, (height, width) = read.store, read.size
        channels = store.shape[0]
        index = (starts[:, None] + self._pattern(height, 1, store.width)).flatten()
        places = len(maps) * store.height * store.width
        overlapping = maps.as_strided((places - width + 1, width * channels), (channels, 1))
        found = torch.index_select(overlapping, 0, index)
        return found.view(len(maps), height, width, channels).permute(0, 3, 1, 2)

    def _put(
        self, window: Tensor, size: tuple[int, int], store: Store, maps: Tensor, starts: Tensor
    ) -> None:
        """Put windows (B, C, h, w) into a store, at their places."""
        index = (starts[:, None] + self._pattern(*size, store.width)).flatten()
        values = window.permute(0, 2, 3, 1).reshape(-1, store.shape[0]).to(maps.dtype)
        maps.view(-1, store.shape[0]).index_copy_(0, index, values)

    def _pattern(self, height: int, width: int, stride: int) -> Tensor:
        """(height · width,): the places of a window, counted from its start."""
        key = (height, width, stride)
        if key not in self._patterns:
            rows = torch.arange(height, device=self._device) * stride
            columns = torch.arange(width, device=self._device)
            self._patterns[key] = (rows[:, None] + columns).flatten()
        return self._patterns[key]


class _Places:
    """Where the windows of one store start at each step, counted over all trajectories' maps.

    ``at`` (steps, B) int64; ``rows`` and ``columns`` are each region's, without the border.
    """

    def __init__(
        self, store: Store, rows: NDArray[np.int64], columns: NDArray[np.int64], regions: Tensor
    ) -> None:
        starts = _starts(
            rows + store.before[0], columns + store.before[1], store.width, regions.device
        )
        trajectory = torch.arange(regions.shape[1], device=regions.device)
        self.at = starts[regions] + trajectory * (store.height * store.width)


def _starts(
    rows: NDArray[np.int64], columns: NDArray[np.int64], width: int, device: torch.device
) -> Tensor:
    """(R,): the place, counted row by row, at which each region's window starts."""
    return torch.from_numpy((rows[:, None] * width + columns[None, :]).ravel()).to(device)


class _Recorder(fx.Interpreter):
    """A full pass that fills the stores with the maps of a part of the images."""

    def __init__(self, plan: Plan, stores: dict[Store, Tensor], start: int, count: int) -> None:
        super().__init__(plan.graph)
        self._stores, self._start, self._count = stores, start, count
        self._wanted: dict[fx.Node, list[Store]] = {}
        for store in plan.stores:
            self._wanted.setdefault(store.node, []).append(store)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        for store in self._wanted.get(n, ()):
            maps = self._stores.get(store)
            if maps is None:
                maps = self._stores[store] = value.new_full(
                    (self._count, store.height, store.width, store.shape[0]), store.fill
                )
            part = _inner(maps[self._start : self._start + len(value)], store)
            part.copy_(value.permute(0, 2, 3, 1))
        return value


class _Dense:
    """The dense part of a plan, from the maps handed over to the class scores."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._channels_last = plan, True
        last: dict[fx.Node, fx.Node] = {}
        for node in plan.dense:
            for source in node.all_input_nodes:
                last[source] = node
        self._done: dict[fx.Node, list[fx.Node]] = {}
        for source, node in last.items():
            self._done.setdefault(node, []).append(source)

    def __call__(self, handed_over: dict[fx.Node, Tensor]) -> Tensor:
        if self._channels_last:
            try:
                return self._run(
                    {n: v.clone(memory_format=torch.channels_last) for n, v in handed_over.items()}
                )
            except RuntimeError as error:
                if not is_layout_error(error):
                    raise
                self._channels_last = False
        return self._run(
            {n: v.clone(memory_format=torch.contiguous_format) for n, v in handed_over.items()}
        )

    def _run(self, values: dict[fx.Node, Any]) -> Tensor:
        for node in self._plan.dense:
            if node.op == "output":
                return values[node.args[0]]  # type: ignore[index]
            values[node] = _call(self._plan.graph, node, values)
            for source in self._done.get(node, ()):
                values.pop(source, None)
        raise AssertionError("a traced network has an output")


def _call(graph: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """The value of a node, given those of its inputs."""

    def value(source: fx.Node) -> Any:
        if source.op == "get_attr":
            return _attribute(graph, str(source.target))
        return values[source]

    args, kwargs = fx.node.map_arg(node.args, value), fx.node.map_arg(node.kwargs, value)
    if node.op == "call_module":
        return graph.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _attribute(graph: Any, path: str) -> Any:
    for name in path.split("."):
        graph = getattr(graph, name)
    return graph


def _inner(maps: Tensor, store: Store) -> Tensor:
    """(B, H, W, C): a store without its border."""
    (top, left), (_, height, width) = store.before, store.shape
    return maps[:, top : top + height, left : left + width]


def _whole(maps: Tensor, store: Store) -> Tensor:
    """(B, C, H, W): a store as the network sees it."""
    return _inner(maps, store).permute(0, 3, 1, 2)
