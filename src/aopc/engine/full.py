"""The straightforward runner: one full forward pass an image and step."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from aopc.engine.replacements import Imputed
from aopc.engine.trajectories import (
    Images,
    Layout,
    PixelRegions,
    Trajectories,
    on_device,
    target_scores,
)
from aopc.models.dropout import active_dropout
from aopc.models.inference import device_of
from aopc.perturbation.partition import Partition

#: Bytes of a value → an integer of as many.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
#: Batches a call at least, so that a last one of another size costs little.
_BATCHES = 8


class FullRunner:
    """Scores perturbed images, built on the model's device in batches of one size, pixels last.

    Parameters
    ----------
    model
        In evaluation mode.
    partition
        The regions.
    steps, repeats
        As they will be run.
    batch_size
        Images a forward pass.
    dropout_seed
        As of :func:`aopc.perturbation_curves`.
    """

    def __init__(
        self,
        model: nn.Module,
        partition: Partition,
        steps: int,
        repeats: int,
        batch_size: int,
        dropout_seed: int | None,
    ) -> None:
        self._model, self._size, self._dropout_seed = model, batch_size, dropout_seed
        self._regions = PixelRegions(partition, device_of(model))
        self._layout = Layout()
        self.trajectories_at_once = max(1, -(-_BATCHES * batch_size // steps))
        self.images_at_once = max(1, min(batch_size, self.trajectories_at_once // repeats))

    def unperturbed(self, images: Images) -> tuple[Tensor, None]:
        return torch.cat(
            [
                self._scores(part, images.ids[start : start + self._size])
                for start in range(0, len(images.ids), self._size)
                for part in [images.pixels[start : start + self._size].clone()]
            ]
        ), None

    def run(self, images: Images, shared: Any, trajectories: Trajectories, steps: int) -> Tensor:
        order = on_device(trajectories.order, self._model)
        targets = on_device(trajectories.target, self._model)
        ranks = self._value_ranks(order, images.pixels)
        results = torch.empty(2, len(trajectories) * steps, device=order.device)
        batch = images.pixels.new_empty((self._size, *images.pixels.shape[1:]))
        for start in range(0, len(trajectories) * steps, self._size):
            stop = min(start + self._size, len(trajectories) * steps)
            rows = []
            for number in range(start // steps, (stop - 1) // steps + 1):
                first = max(start, number * steps)
                last = min(stop, (number + 1) * steps)
                into = batch[first - start : last - start]
                image, noise = trajectories.image[number], int(trajectories.noise[number])
                step = first - number * steps + 1
                if isinstance(images.noise, Imputed):
                    removed = _removed(ranks[number], step, into)
                    into.copy_(images.noise(noise, images.pixels[image], removed))
                else:
                    _fill(into, images.pixels[image], images.fills[noise], ranks[number], step)
                rows += [images.ids[trajectories.image[number]]] * (last - first)
            scores = self._scores(batch[: stop - start], rows)
            chosen = targets[torch.arange(start, stop, device=order.device) // steps]
            results[:, start:stop] = target_scores(scores, chosen)
        return results.reshape(2, len(trajectories), steps)

    def _value_ranks(self, order: Tensor, pixels: Tensor) -> Tensor:
        """(B, R) orders → (B, H · W · C): the step at which a value is removed, less one."""
        ranks = self._regions.pixel_ranks(order).to(_INTEGERS[pixels.element_size()])
        return ranks[..., None].expand(*ranks.shape, pixels.shape[3]).flatten(1)

    def _scores(self, batch: Tensor, ids: Any) -> Tensor:
        dropping = (
            nullcontext()
            if self._dropout_seed is None
            else active_dropout(self._model, ids, self._dropout_seed)
        )
        with dropping:
            return self._layout.scores(self._model, batch.permute(0, 3, 1, 2))


def _removed(rank: Tensor, first: int, batch: Tensor) -> Tensor:
    """(n, H, W): the pixels that are gone at the steps ``first``, ``first`` + 1, …; ``rank`` as of _fill."""
    step = torch.arange(first, first + len(batch), device=rank.device)
    pixels = rank.view(batch.shape[1:])[..., 0]
    return pixels < step[:, None, None]


def _fill(batch: Tensor, image: Tensor, noise: Tensor, rank: Tensor, first: int) -> None:
    """Make ``batch`` (n, H, W, C) the image at the steps ``first``, ``first`` + 1, …

    ``rank`` is that of each value, an integer as wide as the values. Image and noise are taken for such
    integers, of which image + removed · (noise − image) is exact; it is twice as fast as torch.where.
    """
    step = torch.arange(first, first + len(batch), device=rank.device, dtype=rank.dtype)
    bits = batch.flatten(1).view(rank.dtype)
    old, new = image.flatten().view(rank.dtype), noise.flatten().view(rank.dtype)
    torch.lt(rank, step[:, None], out=bits)
    torch.addcmul(old, bits, new - old, out=bits)
