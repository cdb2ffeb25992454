"""The replacement images of all repeats, drawn ahead where a GPU computes meanwhile."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.engine.setup import Setup
from aopc.models.inference import device_of
from aopc.perturbation.removal import Imputer
from aopc.perturbation.removal.contract import checked
from aopc.perturbation.value_range import Image, ValueRange


class Replacements:
    """The replacement images, on the model's device.

    For a GPU those of the next images are drawn by a thread, while the GPU computes.
    """

    def __init__(self, model: nn.Module, images: Tensor, ids: Sequence[str], setup: Setup) -> None:
        self._images, self._ids, self._setup = images, ids, setup
        self._removal = setup.removal
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
            return Imputed(self._removal, self._ids[part], self._setup)
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
        values = _values(self._setup, image)
        drawn = []
        for repeat in range(self._setup.repeats):
            replacement = self._replacement(image, values, index, repeat)
            drawn.append(torch.from_numpy(replacement).to(like.dtype).permute(1, 2, 0))
        if index == 0:
            again = self._replacement(image, values, index, 0)
            if not torch.equal(torch.from_numpy(again).to(like.dtype).permute(1, 2, 0), drawn[0]):
                raise InputError(
                    f"{_named(self._setup)}: the same stream gives another image: draw from the stream only"
                )
        return torch.stack(drawn)

    def _replacement(self, image: Image, values: ValueRange, index: int, repeat: int) -> Image:
        assert not isinstance(self._removal, Imputer)
        name = self._ids[index]
        with _saying(self._setup, f"for image {name}"):
            # A copy, since a user's function may write into what it is given.
            return checked(self._removal(image.copy(), values, _noise_stream(self._setup, name, repeat)), image)


class Imputed:
    """What an imputer makes of some images, step by step."""

    def __init__(self, imputer: Imputer, ids: Sequence[str], setup: Setup) -> None:
        self._imputer, self._ids, self._setup = imputer, ids, setup

    def __call__(self, number: int, image: Tensor, removed: Tensor, first: int) -> Tensor:
        """(n, H, W, C): an image (H, W, C) without the pixels ``removed`` (n, H, W), at the steps ``first``,
        ``first`` + 1, …; ``number`` counts the repeats of all images.
        """
        index, repeat = divmod(number, self._setup.repeats)
        pixels = image.permute(2, 0, 1).float().cpu().numpy()
        values, name, found = _values(self._setup, pixels), self._ids[index], []
        for step, mask in enumerate(removed.cpu().numpy(), first):
            with _saying(self._setup, f"for image {name} at step {step}"):
                found.append(self._imputer(pixels, mask, values, _noise_stream(self._setup, name, repeat)))
        made = torch.from_numpy(np.stack(found)).to(image).permute(0, 2, 3, 1)
        # In float64 the imputer saw the image rounded.
        return torch.where(removed[..., None], made, image)


@contextmanager
def _saying(setup: Setup, where: str) -> Iterator[None]:
    """What goes wrong in a removal as an InputError that names it, and the image."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # a user's function may fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{_named(setup)}: {reason} {where}") from error


def _named(setup: Setup) -> str:
    removal = setup.protocol.removal
    own = removal.impute if isinstance(removal, Imputer) else removal
    return f"removal {own if isinstance(own, str) else getattr(own, '__name__', type(own).__name__)!r}"


def _values(setup: Setup, image: Image) -> ValueRange:
    return setup.value_range or ValueRange.of_image(image)


def _noise_stream(setup: Setup, image_id: str, repeat: int) -> Stream:
    """The random values of one repeat of an image, whatever explains it."""
    return Stream(setup.protocol.seed, "noise", image_id, repeat)
