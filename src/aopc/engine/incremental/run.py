"""The incremental runner: per step, only what the removed region can change is computed.

Consecutive perturbed images differ in one region, and so do the maps of the first layers in one window each. The maps
of every trajectory are kept; the windows of several trajectories are gathered into one dense batch, computed, and put
back. Trajectories need not be at the same step: those go on together whose next regions have windows of one size. The
dense part waits until there is a batch for it. The result is that of full passes up to rounding; what can be windowed
is the business of :mod:`aopc.engine.incremental.plan`.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn

from aopc.engine.incremental.layers import Sliding, attribute
from aopc.engine.incremental.plan import Plan, Read, Step, Store
from aopc.engine.incremental.schedule import Places, Schedule, window_starts
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Layout, Trajectories, laid_out, on_device, region_ranks, target_scores
from aopc.models.batch_dependence import Alone
from aopc.models.dropout import active_dropout, has_dropout
from aopc.models.inference import checked_scores, device_of


class IncrementalRunner:
    """Steps trajectories through the :class:`Plan` of a model in evaluation mode.

    Parameters
    ----------
    trajectories_at_once
        How many are kept.
    batch_size, dense_batch_size
        Images a full forward pass, and a pass of the dense part.
    layout
        Of full passes and of the dense part.
    alone
        Compares one image of each size of batch, and of more trajectories than before, with itself alone in a pass of
        the model; None: not.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        setup: Setup,
        trajectories_at_once: int,
        batch_size: int,
        dense_batch_size: int,
        layout: Layout,
        alone: Alone | None = None,
    ) -> None:
        self._model, self._plan, self._dropout_seed = model, plan, setup.dropout_seed
        self._batch_size, self._dense_batch_size = batch_size, dense_batch_size
        self._device = device_of(model)
        self._region_of_pixel = torch.from_numpy(plan.grid.region_of_pixel).to(self._device)
        self._layout, self._alone = layout, alone
        self._kept: dict[Store, Tensor] = {}
        self._patterns: dict[tuple[int, int, int], Tensor] = {}
        self._compared = 0
        self.trajectories_at_once = trajectories_at_once
        self.images_at_once = max(1, trajectories_at_once // setup.repeats)

    def unperturbed(self, images: Images) -> tuple[Tensor, dict[Store, Tensor]]:
        """Class scores, and the stores of the whole images."""
        stores: dict[Store, Tensor] = {}
        starts = range(0, len(images.ids), self._batch_size)
        return torch.cat([self._recorded(images, start, stores) for start in starts]), stores

    def _recorded(self, images: Images, start: int, stores: dict[Store, Tensor]) -> Tensor:
        """Class scores of a batch of images, whose maps are put into the stores."""
        part = slice(start, start + self._batch_size)
        maps = images.pixels[part].permute(0, 3, 1, 2)
        recorder = _Recorder(self._plan, stores, start, len(images.ids))
        with self.dropping(self._plan.graph, images.ids[part]):
            found = self._layout(lambda layout: recorder.run(maps.clone(memory_format=layout)))
        scores = checked_scores(found, len(maps))
        if self._alone is not None and self._alone.asks(len(scores)):
            own = images.ids[part][-1:]
            self._alone.require(maps[-1:].clone(), scores[-1:], len(scores), lambda model: self.dropping(model, own))
        return scores

    def run(self, images: Images, shared: dict[Store, Tensor], trajectories: Trajectories, steps: int) -> Tensor:
        scores = self.walked(images, shared, trajectories, steps)[0]
        if self._alone is not None and len(trajectories) > self._compared:
            self._compared = len(trajectories)
            image = int(trajectories.image[-1])
            order = on_device(self._model, trajectories.order[-1:])[0]
            removed = region_ranks(order)[0][self._region_of_pixel, None] < steps
            pixels = torch.where(removed, images.fills[int(trajectories.noise[-1])], images.pixels[image])
            name = images.ids[image : image + 1]
            own = self._alone.scores(pixels.permute(2, 0, 1)[None], lambda model: self.dropping(model, name)).float()
            found = own.clone()
            found[0, int(trajectories.target[-1])] = scores[0, -1, -1]
            self._alone.compare(found, own, f"of {len(trajectories)} trajectories")
        return scores

    def walked(
        self, images: Images, shared: dict[Store, Tensor], trajectories: Trajectories, steps: int
    ) -> tuple[Tensor, dict[Store, Tensor]]:
        """What :meth:`run` gives, and the stores of each trajectory after the last step, until the next call."""
        schedule = Schedule(trajectories.order[:, :steps], self._plan.variant_of_region)
        image, target = on_device(self._model, trajectories.image, trajectories.target)
        trajectory, region, step = on_device(self._model, schedule.trajectory, schedule.region, schedule.step)
        kept = {store: self._copied(store, base, image) for store, base in shared.items()}
        changed = self._new_pixels(images, trajectories, trajectory, region, step)
        places = Places(self._plan, trajectory, region)
        ids = [images.ids[i] for i in trajectories.image]
        results = torch.empty(2, len(trajectories), steps, device=self._device)
        waiting: defaultdict[fx.Node, list[Tensor]] = defaultdict(list)
        done = 0
        for first, last, variant in schedule.batches:
            part = slice(first, last)
            windows = {self._plan.first.node: changed[part]}
            self._put(self._plan.first, changed[part], kept, places, part)
            for layer in self._plan.variants[variant]:
                inputs = {
                    source: windows[source]
                    if read is None
                    else self._gathered(read, kept[read.store], places.reads[read][part])
                    for source, read in layer.reads.items()
                }
                if isinstance(layer.kind, Sliding):
                    window = layer.kind.apply(*inputs.values())
                else:
                    window = _call(self._plan.graph, layer.node, inputs)
                windows[layer.node] = window
                self._put(layer, window, kept, places, part)
            for node, store in self._plan.handed_over.items():
                waiting[node].append(_inner(kept[store], store)[trajectory[part]])
            if last - done >= self._dense_batch_size or last == len(trajectory):
                part, done = slice(done, last), last
                maps = [torch.cat(waiting.pop(node)).permute(0, 3, 1, 2) for node in self._plan.handed_over]
                with self.dropping(self._plan.graph, [ids[t] for t in schedule.trajectory[part]]):
                    scores = self._dense_scores(maps)
                which = trajectory[part]
                results[:, which, step[part]] = target_scores(scores, target[which])
        return results, kept

    def _dense_scores(self, maps: list[Tensor]) -> Tensor:
        """By the dense part, of the maps handed over, channels last in memory; they may be overwritten."""
        dense = self._plan.dense
        found = self._layout(lambda layout: dense.forward(*(laid_out(m, layout) for m in maps)))
        return checked_scores(found, len(maps[0]))

    def dropping(self, network: nn.Module, ids: Sequence[str]) -> AbstractContextManager[object]:
        # The traced graph lacks layers that the forward pass never calls.
        if self._dropout_seed is None or not has_dropout(network):
            return nullcontext()
        return active_dropout(network, ids, self._dropout_seed)

    def _copied(self, store: Store, base: Tensor, image: Tensor) -> Tensor:
        """The store's maps for each trajectory, in memory that is used again and again."""
        kept = self._kept.get(store)
        if kept is None or len(kept) < len(image):
            kept = self._kept[store] = base.new_empty((len(image), *base.shape[1:]))
        return torch.index_select(base, 0, image, out=kept[: len(image)])

    def _new_pixels(
        self, images: Images, trajectories: Trajectories, trajectory: Tensor, region: Tensor, step: Tensor
    ) -> Tensor:
        """(turns, C, h, w): the input's windows, the region's pixels replaced.

        Where the border cuts a region off, its window holds pixels of its neighbours too, which are replaced if their
        own region was removed before.
        """
        grid, box = self._plan.grid, self._plan.first.box
        starts = window_starts(box.rows.starts, box.columns.starts, grid.width, self._device)
        pixel = starts[region][:, None] + self._pattern(*box.size, grid.width)
        order, noise, image = on_device(self._model, trajectories.order, trajectories.noise, trajectories.image)
        rank = region_ranks(order)[trajectory[:, None], self._region_of_pixel.flatten()[pixel]]
        places, channels = grid.height * grid.width, images.pixels.shape[3]
        old = images.pixels.reshape(-1, channels)[image[trajectory, None] * places + pixel]
        new = images.fills.reshape(-1, channels)[noise[trajectory, None] * places + pixel]
        pixels = torch.where((rank <= step[:, None])[..., None], new, old)
        return pixels.unflatten(1, box.size).permute(0, 3, 1, 2)

    def _gathered(self, read: Read, maps: Tensor, starts: Tensor) -> Tensor:
        """(B, C, h, w): the windows of a store, each row of a window copied as a whole."""
        store, (height, width) = read.store, read.size
        count, channels = len(starts), store.shape[0]
        index = (starts[:, None] + self._pattern(height, 1, store.width)).flatten()
        places = len(maps) * store.height * store.width
        overlapping = maps.as_strided((places - width + 1, width * channels), (channels, 1))
        found = torch.index_select(overlapping, 0, index)
        return found.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _put(self, step: Step, window: Tensor, kept: dict[Store, Tensor], places: Places, part: slice) -> None:
        """Put the windows (B, C, h, w) of a step into all its stores, at their places."""
        for store in step.writes:
            starts, maps, channels = places.writes[step, store][part], kept[store], store.shape[0]
            index = (starts[:, None] + self._pattern(*step.box.size, store.width)).flatten()
            values = window.permute(0, 2, 3, 1).reshape(-1, channels).to(maps.dtype)
            maps.view(-1, channels).index_copy_(0, index, values)

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
        self._wanted, self._stores, self._start, self._count = plan.stores, stores, start, count

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        for store in (s for s in self._wanted if s.node is n):
            if store not in self._stores:
                shape = (self._count, store.height, store.width, store.shape[0])
                self._stores[store] = value.new_full(shape, store.fill)
            part = self._stores[store][self._start : self._start + len(value)]
            _inner(part, store).copy_(value.permute(0, 2, 3, 1))
        return value


def _call(graph: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """The value of a node, given those of its inputs."""

    def value(source: fx.Node) -> Any:
        return attribute(graph, str(source.target)) if source.op == "get_attr" else values[source]

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
