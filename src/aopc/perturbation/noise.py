"""The replacement images of all repeats, drawn ahead where a GPU computes meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.models.inference import device_of
from aopc.perturbation.removal import ValueRange
from aopc.perturbation.settings import Settings
from aopc.streams import Stream


class Noise:
    """The replacement images, on the model's device.

    For a GPU those of the next images are drawn by a thread, while the GPU computes.
    """

    def __init__(
        self, model: nn.Module, images: Tensor, ids: Sequence[str], settings: Settings
    ) -> None:
        self._images, self._ids, self._settings = images, ids, settings
        self._replace = settings.replace
        self._values = settings.value_range or _value_range_of(images)
        self._device = device_of(model)
        self._thread = ThreadPoolExecutor(1) if self._device.type == "cuda" else None
        self._coming: dict[int, Future[Tensor]] = {}

    def __enter__(self) -> "Noise":
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def __call__(self, part: slice) -> Tensor:
        """(images · repeats, H, W, C), those of an image one after the other."""
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
        drawn = []
        for repeat in range(self._settings.repeats):
            stream = Stream(self._settings.seed, "noise", self._ids[index], repeat)
            replacement = self._replace(image, self._values, stream)
            if replacement.shape != image.shape:
                raise InputError(
                    f"the removal must return an image of shape {image.shape};"
                    f" it returned {replacement.shape}"
                )
            drawn.append(torch.from_numpy(replacement).to(like.dtype).permute(1, 2, 0))
        return torch.stack(drawn)


def _value_range_of(images: Tensor) -> ValueRange:
    low, high = images.amin(dim=(0, 2, 3)).tolist(), images.amax(dim=(0, 2, 3)).tolist()
    # A channel with one value only still needs a range of some width.
    return ValueRange(
        tuple(low), tuple(h if h > v else v + 1.0 for v, h in zip(low, high, strict=True))
    )
