"""The straightforward runner: one full forward pass an image and step."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from aopc.engine.replacements import Imputed
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Layout, Trajectories, laid_out, on_device, region_ranks, target_scores
from aopc.models.batch_dependence import Alone
from aopc.models.dropout import active_dropout
from aopc.models.inference import device_of, logits_of

#: Bytes of a value → an integer of as many.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
#: Batches a call at least, so that a last one of another size costs little.
_BATCHES = 8


class FullRunner:
    """Scores perturbed images, built on the device of a model in evaluation mode, in batches of one size.

    ``alone`` compares one image of each size of batch with itself alone.
    """

    def __init__(self, model: nn.Module, setup: Setup, batch_size: int, layout: Layout, alone: Alone) -> None:
        self._model, self._size, self._dropout_seed = model, batch_size, setup.dropout_seed
        self._region_of_pixel = torch.from_numpy(setup.partition.region_of_pixel).to(device_of(model))
        self._layout, self._alone = layout, alone
        self.trajectories_at_once = max(1, -(-_BATCHES * batch_size // setup.steps))
        self.images_at_once = max(1, min(batch_size, self.trajectories_at_once // setup.repeats))

    def unperturbed(self, images: Images) -> tuple[Tensor, None]:
        parts = [slice(start, start + self._size) for start in range(0, len(images.ids), self._size)]
        # Copies, since a model may change its input, also before it fails on the memory format.
        scores = [self._scores(images.pixels[part], images.ids[part], _copied) for part in parts]
        return torch.cat(scores), None

    def run(self, images: Images, shared: None, trajectories: Trajectories, steps: int) -> Tensor:
        order, targets = on_device(self._model, trajectories.order, trajectories.target)
        # Of each pixel, then of each value: the step at which it is removed, less one.
        ranks = region_ranks(order)[:, self._region_of_pixel].to(
            torch.int64 if images.pixels.element_size() == 8 else torch.int32
        )
        ranks = ranks[..., None].expand(*ranks.shape, images.pixels.shape[3]).flatten(1)
        results = torch.empty(2, len(trajectories) * steps, device=order.device)
        batch = images.pixels.new_empty((self._size, *images.pixels.shape[1:]))
        for start in range(0, len(trajectories) * steps, self._size):
            stop = min(start + self._size, len(trajectories) * steps)
            ids: list[str] = []
            for number in range(start // steps, (stop - 1) // steps + 1):
                first, last = max(start, number * steps), min(stop, (number + 1) * steps)
                into, step = batch[first - start : last - start], first - number * steps + 1
                image, noise = trajectories.image[number], int(trajectories.noise[number])
                if isinstance(images.noise, Imputed):
                    removed = _removed(ranks[number], step, into)
                    into.copy_(images.noise(noise, images.pixels[image], removed, step))
                else:
                    _fill(into, images.pixels[image], images.noise[noise], ranks[number], step)
                ids += [images.ids[image]] * (last - first)
            scores = self._scores(batch[: stop - start], ids, laid_out)
            chosen = targets[torch.arange(start, stop, device=order.device) // steps]
            results[:, start:stop] = target_scores(scores, chosen)
        return results.reshape(2, len(trajectories), steps)

    def _scores(
        self, batch: Tensor, ids: Sequence[str], into: Callable[[Tensor, torch.memory_format], Tensor]
    ) -> Tensor:
        maps = batch.permute(0, 3, 1, 2)
        last = maps[-1:].clone() if self._alone.asks(len(maps)) else None
        with self._dropping(self._model, ids):
            scores = self._layout(lambda layout: logits_of(self._model, into(maps, layout)))
        if last is not None:
            self._alone.require(last, scores[-1:], len(scores), lambda model: self._dropping(model, ids[-1:]))
        return scores

    def _dropping(self, model: nn.Module, ids: Sequence[str]) -> AbstractContextManager[object]:
        seed = self._dropout_seed
        return nullcontext() if seed is None else active_dropout(model, ids, seed)


def _copied(maps: Tensor, layout: torch.memory_format) -> Tensor:
    return maps.clone(memory_format=layout)


def _removed(rank: Tensor, first: int, batch: Tensor) -> Tensor:
    """(n, H, W): the pixels that are gone at the steps ``first``, ``first`` + 1, …; ``rank`` as for _fill."""
    step = torch.arange(first, first + len(batch), device=rank.device)
    return rank.view(batch.shape[1:])[..., 0] < step[:, None, None]


def _fill(batch: Tensor, image: Tensor, noise: Tensor, rank: Tensor, first: int) -> None:
    """Make ``batch`` (n, H, W, C) the image at the steps ``first``, ``first`` + 1, …

    ``rank`` is that of each value. Image and noise are taken for integers as wide as they are, of which
    image + removed · (noise − image) is exact; it is twice as fast as torch.where.
    """
    step = torch.arange(first, first + len(batch), device=rank.device, dtype=rank.dtype)
    integers = _INTEGERS[batch.element_size()]
    bits = batch.flatten(1).view(integers)
    old, new = image.flatten().view(integers), noise.flatten().view(integers)
    torch.lt(rank, step[:, None], out=bits)
    torch.addcmul(old, bits, new - old, out=bits)
