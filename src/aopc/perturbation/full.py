"""The straightforward runner: one full forward pass an image and step."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from aopc.models.dropout import active_dropout
from aopc.models.inference import device_of
from aopc.perturbation.regions import Grid
from aopc.perturbation.trajectories import (
    Images,
    Layout,
    PixelRegions,
    Trajectories,
    on_device,
    target_scores,
)

#: Batches a call at least, so that a last one of another size costs little.
_BATCHES = 4


class FullRunner:
    """Scores perturbed images, built on the model's device in batches of one size, pixels last.

    Parameters
    ----------
    model
        In evaluation mode.
    grid
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
        grid: Grid,
        steps: int,
        repeats: int,
        batch_size: int,
        dropout_seed: int | None,
    ) -> None:
        self._model, self._size, self._dropout_seed = model, batch_size, dropout_seed
        self._regions = PixelRegions(grid, device_of(model))
        self._layout = Layout()
        self.trajectories_at_once = max(1, -(-_BATCHES * batch_size // steps))
        self.images_at_once = max(1, min(batch_size, self.trajectories_at_once // repeats))

    def unperturbed(self, images: Images) -> tuple[Tensor, None]:
        return torch.cat(
            [
                self._scores(part, images.ids[start : start + self._size])
                for start in range(0, len(images.ids), self._size)
                for part in [images.pixels[start : start + self._size]]
            ]
        ), None

    def run(self, images: Images, shared: Any, trajectories: Trajectories, steps: int) -> Tensor:
        ranks = self._regions.pixel_ranks(on_device(trajectories.order, self._model))
        targets = on_device(trajectories.target, self._model)
        results = torch.empty(2, len(trajectories) * steps, device=ranks.device)
        shape = images.pixels.shape[1:]
        batch = images.pixels.new_empty((self._size, shape.numel()))
        for start in range(0, len(trajectories) * steps, self._size):
            stop = min(start + self._size, len(trajectories) * steps)
            rows = []
            for number in range(start // steps, (stop - 1) // steps + 1):
                first = max(start, number * steps)
                last = min(stop, (number + 1) * steps)
                done = torch.arange(first, last, device=ranks.device) - (number * steps - 1)
                # Flat and of one shape, which is several times faster than spreading over channels.
                rank = ranks[number, :, :, None].expand(shape).flatten()
                torch.where(
                    rank < done[:, None],
                    images.noise[trajectories.noise[number]].flatten(),
                    images.pixels[trajectories.image[number]].flatten(),
                    out=batch[first - start : last - start],
                )
                rows += [images.ids[trajectories.image[number]]] * (last - first)
            scores = self._scores(batch[: stop - start].unflatten(1, shape), rows)
            chosen = targets[torch.arange(start, stop, device=ranks.device) // steps]
            results[:, start:stop] = target_scores(scores, chosen)
        return results.reshape(2, len(trajectories), steps)

    def _scores(self, batch: Tensor, ids: Any) -> Tensor:
        dropping = (
            nullcontext()
            if self._dropout_seed is None
            else active_dropout(self._model, ids, self._dropout_seed)
        )
        with dropping:
            return self._layout.scores(self._model, batch.permute(0, 3, 1, 2))
