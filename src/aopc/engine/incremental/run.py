"""The incremental runner: per step, only what the removed region can change is computed.

Consecutive perturbed images differ in one region, and so do the maps of the first layers in one
window each. The maps of every trajectory are kept; the windows of several trajectories are gathered
into one dense batch, computed, and put back. Trajectories need not be at the same step: those go on
together whose next regions have windows of one size. The dense part waits until there is a batch for
it. The result is that of full passes up to rounding; what can be windowed is the business of
:mod:`aopc.engine.incremental.plan`.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from aopc.engine.incremental.layers import Sliding, attribute
from aopc.engine.incremental.plan import Plan, Read, Step, Store
from aopc.engine.incremental.schedule import Places, Schedule, window_starts
from aopc.engine.trajectories import (
    Images,
    PixelRegions,
    Trajectories,
    is_layout_error,
    on_device,
    target_scores,
)
from aopc.models.dropout import active_dropout, has_dropout
from aopc.models.inference import checked_scores, device_of


class IncrementalRunner:
    """Steps trajectories through a :class:`Plan`.

    Parameters
    ----------
    model
        In evaluation mode.
    plan
        Of the model.
    trajectories_at_once, images_at_once
        As of :class:`aopc.engine.trajectories.Runner`.
    batch_size, dense_batch_size
        Images a full forward pass, and a pass of the dense part.
    dropout_seed
        As of :func:`aopc.perturbation_curves`.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        *,
        trajectories_at_once: int,
        images_at_once: int,
        batch_size: int,
        dense_batch_size: int,
        dropout_seed: int | None,
    ) -> None:
        self._model, self._plan = model, plan
        self._batch_size, self._dense_batch_size = batch_size, dense_batch_size
        self._dropout_seed = dropout_seed
        self._device = device_of(model)
        self._regions = PixelRegions(plan.grid, self._device)
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
            recorder = _Recorder(self._plan, stores, start, len(images.ids))
            with self._dropping(list(images.ids[part])):
                try:
                    found = recorder.run(batch)
                except RuntimeError as error:
                    if not is_layout_error(error):
                        raise
                    found = recorder.run(batch.clone(memory_format=torch.contiguous_format))
            scores.append(checked_scores(found, len(batch)))
        return torch.cat(scores), stores

    def run(
        self,
        images: Images,
        shared: dict[Store, Tensor],
        trajectories: Trajectories,
        steps: int,
    ) -> Tensor:
        image = on_device(trajectories.image, self._model)
        target = on_device(trajectories.target, self._model)
        kept = {store: self._copied(store, base, image) for store, base in shared.items()}
        schedule = Schedule(trajectories.order[:, :steps], self._plan.variant_of_region)
        trajectory = on_device(schedule.trajectory, self._model)
        region = on_device(schedule.region, self._model)
        step = on_device(schedule.step, self._model)
        changed = self._new_pixels(images, trajectories, trajectory, region, step)
        places = Places(self._plan, trajectory, region)
        ids = [images.ids[i] for i in trajectories.image]
        results = torch.empty(2, len(trajectories), steps, device=self._device)
        waiting = _Waiting(self._plan)
        for first, last, variant in schedule.batches:
            part = slice(first, last)
            windows = {self._plan.first.node: changed[part]}
            self._put_all(self._plan.first, changed[part], kept, places, part)
            for layer in self._plan.variants[variant]:
                inputs = {
                    source: windows[source]
                    if read is None
                    else self._gathered(read, kept[read.store], places.reads[read][part])
                    for source, read in layer.reads.items()
                }
                windows[layer.node] = window = self._computed(layer, inputs)
                self._put_all(layer, window, kept, places, part)
            waiting.add(kept, trajectory[part])
            if waiting.count >= self._dense_batch_size or last == len(trajectory):
                part = slice(last - waiting.count, last)
                with self._dropping([ids[t] for t in schedule.trajectory[part]]):
                    scores = self._dense(waiting.taken())
                which = trajectory[part]
                results[:, which, step[part]] = target_scores(scores, target[which])
        return results

    def perturbed(
        self, images: Images, trajectories: Trajectories, steps: NDArray[np.int64]
    ) -> Tensor:
        """Class scores of the images after (B,) steps by a full pass of the model itself."""
        ranks = self._regions.pixel_ranks(on_device(trajectories.order, self._model))
        batch = torch.where(
            (ranks < on_device(steps, self._model)[:, None, None])[..., None],
            images.fills[on_device(trajectories.noise, self._model)],
            images.pixels[on_device(trajectories.image, self._model)],
        )
        with self._dropping([images.ids[i] for i in trajectories.image], self._model):
            return self._model(batch.permute(0, 3, 1, 2).contiguous())

    def _dropping(self, ids: list[str], model: nn.Module | None = None) -> Any:
        network = model or self._plan.graph
        # The traced graph lacks layers that the forward pass never calls.
        if self._dropout_seed is None or not has_dropout(network):
            return nullcontext()
        return active_dropout(network, ids, self._dropout_seed)

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
        trajectories: Trajectories,
        trajectory: Tensor,
        region: Tensor,
        step: Tensor,
    ) -> Tensor:
        """(turns, C, h, w): the input's windows, the region's pixels replaced.

        Where the border cuts a region off, its window holds pixels of its neighbours too, which
        are replaced if their own region was removed before.
        """
        grid, box = self._plan.grid, self._plan.first.box
        starts = window_starts(box.rows.starts, box.columns.starts, grid.width, self._device)
        pixel = starts[region][:, None] + self._pattern(*box.size, grid.width)
        ranks = self._regions.ranks(on_device(trajectories.order, self._model))
        rank = ranks[trajectory[:, None], self._regions.of_pixel.flatten()[pixel]]
        image = on_device(trajectories.image, self._model)[trajectory, None]
        noise = on_device(trajectories.noise, self._model)[trajectory, None]
        places, channels = grid.height * grid.width, images.pixels.shape[3]
        old = images.pixels.reshape(-1, channels)[image * places + pixel]
        new = images.fills.reshape(-1, channels)[noise * places + pixel]
        pixels = torch.where((rank <= step[:, None])[..., None], new, old)
        return pixels.unflatten(1, box.size).permute(0, 3, 1, 2)

    def _computed(self, step: Step, inputs: dict[fx.Node, Tensor]) -> Tensor:
        if isinstance(step.kind, Sliding):
            (window,) = inputs.values()
            return step.kind.apply(window)
        return _call(self._plan.graph, step.node, inputs)

    def _gathered(self, read: Read, maps: Tensor, starts: Tensor) -> Tensor:
        """(B, C, h, w): the windows of a store, each row of a window copied as a whole."""
        store, (height, width) = read.store, read.size
        count, channels = len(starts), store.shape[0]
        index = (starts[:, None] + self._pattern(height, 1, store.width)).flatten()
        places = len(maps) * store.height * store.width
        overlapping = maps.as_strided((places - width + 1, width * channels), (channels, 1))
        found = torch.index_select(overlapping, 0, index)
        return found.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _put_all(
        self,
        step: Step,
        window: Tensor,
        kept: dict[Store, Tensor],
        places: "Places",
        part: slice,
    ) -> None:
        for store in step.writes:
            self._put(window, step.box.size, store, kept[store], places.writes[step, store][part])

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


class _Waiting:
    """Copies of the maps that wait for the dense part."""

    def __init__(self, plan: Plan) -> None:
        self._handed_over = plan.handed_over
        self._maps: dict[fx.Node, list[Tensor]] = {n: [] for n in plan.handed_over}
        self.count = 0

    def add(self, kept: dict[Store, Tensor], trajectory: Tensor) -> None:
        for node, store in self._handed_over.items():
            self._maps[node].append(_inner(kept[store], store)[trajectory])
        self.count += len(trajectory)

    def taken(self) -> dict[fx.Node, Tensor]:
        """(B, C, H, W) by node, channels last in memory; none waits any more."""
        found = {n: torch.cat(maps).permute(0, 3, 1, 2) for n, maps in self._maps.items()}
        self._maps = {n: [] for n in self._maps}
        self.count = 0
        return found


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
        """Class scores; the maps are channels last in memory, and may be overwritten."""
        if self._channels_last:
            try:
                return self._run(dict(handed_over))
            except RuntimeError as error:
                if not is_layout_error(error):
                    raise
                self._channels_last = False
        return self._run({n: v.contiguous() for n, v in handed_over.items()})

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
            return attribute(graph, str(source.target))
        return values[source]

    args, kwargs = fx.node.map_arg(node.args, value), fx.node.map_arg(node.kwargs, value)
    if node.op == "call_module":
        return graph.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _inner(maps: Tensor, store: Store) -> Tensor:
    """(B, H, W, C): a store without its border."""
    (top, left), (_, height, width) = store.before, store.shape
    return maps[:, top : top + height, left : left + width]
