"""The replacement images of all repeats, drawn ahead where a GPU computes meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.random import Stream
from aopc.engine.setup import Setup
from aopc.models.inference import device_of
from aopc.perturbation.removal import Imputer
from aopc.perturbation.removal.contract import checked_shape
from aopc.perturbation.value_range import ValueRange


class Replacements:
    """The replacement images, on the model's device.

    For a GPU those of the next images are drawn by a thread, while the GPU computes.
    """

    def __init__(self, model: nn.Module, images: Tensor, ids: Sequence[str], setup: Setup) -> None:
        self._images, self._ids, self._setup = images, ids, setup
        self._removal = setup.removal
        self._values = setup.value_range or _value_range_of(images)
        self._device = device_of(model)
        fills = not isinstance(self._removal, Imputer)
        self._thread = ThreadPoolExecutor(1) if fills and self._device.type == "cuda" else None
        self._coming: dict[int, Future[Tensor]] = {}

    def __enter__(self) -> "Replacements":
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def __call__(self, part: slice) -> "Tensor | Imputed":
        """(images · repeats, H, W, C), those of an image one after the other; what an imputer makes depends on what
        is removed.
        """
        if isinstance(self._removal, Imputer):
            return Imputed(self._removal, self._values, self._ids[part], self._setup)
        start, stop = part.start, part.stop
        if self._thread is None:
            return torch.cat([self._draw(i) for i in range(start, stop)])
        for i in range(start, min(2 * stop - start, len(self._images))):
            if i not in self._coming:
                self._coming[i] = self._thread.submit(self._draw, i)
        drawn = torch.cat([self._coming.pop(i).result() for i in range(start, stop)])
        return drawn.pin_memory().to(self._device, non_blocking=True)

    def _draw(self, index: int) -> Tensor:
        like = self._images[index]
        image = like.float().cpu().numpy()
        assert not isinstance(self._removal, Imputer)
        drawn = []
        for repeat in range(self._setup.repeats):
            stream = _noise_stream(self._setup, self._ids[index], repeat)
            # A copy, since a user's function may write into what it is given.
            replacement = checked_shape(self._removal(image.copy(), self._values, stream), image)
            drawn.append(torch.from_numpy(replacement).to(like.dtype).permute(1, 2, 0))
        return torch.stack(drawn)


class Imputed:
    """What an imputer makes of some images, step by step."""

    def __init__(self, imputer: Imputer, values: ValueRange, ids: Sequence[str], setup: Setup) -> None:
        self._imputer, self._values, self._ids, self._setup = imputer, values, ids, setup

    def __call__(self, number: int, image: Tensor, removed: Tensor) -> Tensor:
        """(n, H, W, C): an image (H, W, C) without the pixels ``removed`` (n, H, W); ``number`` counts the repeats of
        all images.
        """
        index, repeat = divmod(number, self._setup.repeats)
        pixels = image.permute(2, 0, 1).float().cpu().numpy()
        found = [
            self._imputer(pixels, mask, self._values, _noise_stream(self._setup, self._ids[index], repeat))
            for mask in removed.cpu().numpy()
        ]
        made = torch.from_numpy(np.stack(found)).to(image).permute(0, 2, 3, 1)
        # In float64 the imputer saw the image rounded.
        return torch.where(removed[..., None], made, image)


def _noise_stream(setup: Setup, image_id: str, repeat: int) -> Stream:
    """The random values of one repeat of an image, whatever explains it."""
    return Stream(setup.protocol.seed, "noise", image_id, repeat)


def _value_range_of(images: Tensor) -> ValueRange:
    low, high = images.amin(dim=(0, 2, 3)).tolist(), images.amax(dim=(0, 2, 3)).tolist()
    # A channel with one value only still needs a range of some width.
    return ValueRange(tuple(low), tuple(h if h > v else v + 1.0 for v, h in zip(low, high, strict=True)))
