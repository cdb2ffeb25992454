"""The replacement images of all repeats, drawn ahead where a GPU computes meanwhile."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.errors import InputError, reason_of
from aopc.base.random import Stream
from aopc.engine.setup import Setup
from aopc.models.inference import device_of
from aopc.models.state import NetworkState, random_numbers, settings_as_before
from aopc.perturbation.removal import REMOVALS, Imputer, Removal
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
        self._own = is_own(setup.removal)
        self._model = model
        # What the user's own function may change, the passes meanwhile would meet.
        ahead = not self._own and self._device.type == "cuda"
        self._thread = ThreadPoolExecutor(1) if ahead else None
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
            return Imputed(self._removal, self._ids[part], self._setup, self._model)
        start, stop = part.start, part.stop
        if self._thread is None:
            with _network_as_before(self._model, self._setup):
                drawn = torch.cat([self._draw(i) for i in range(start, stop)])
            return drawn.to(self._device)
        for i in range(start, min(2 * stop - start, len(self._images))):
            if i not in self._coming:
                self._coming[i] = self._thread.submit(self._draw, i)
        drawn = torch.cat([self._coming.pop(i).result() for i in range(start, stop)])
        return drawn.pin_memory().to(self._device, non_blocking=True)

    def _draw(self, index: int) -> Tensor:
        like = self._images[index]
        image = like.float().cpu().numpy()
        values = _values(self._setup, image)
        drawn = [self._replacement(image, values, index, repeat) for repeat in range(self._setup.repeats)]
        if index == 0 or self._own:
            _require_same(self._setup, self._replacement(image, values, index, 0, "again"), drawn[0])
        return torch.stack([torch.from_numpy(one).to(like.dtype).permute(1, 2, 0) for one in drawn])

    def _replacement(self, image: Image, values: ValueRange, index: int, repeat: int, *key: str) -> Image:
        assert not isinstance(self._removal, Imputer)
        name = self._ids[index]
        with _calling(self._setup, f"for image {name}", name, str(repeat), *key):
            # A copy, since a user's function may write into what it is given.
            return checked(self._removal(image.copy(), values, _noise_stream(self._setup, name, repeat)), image)


class Imputed:
    """What an imputer makes of some images, step by step."""

    def __init__(self, imputer: Imputer, ids: Sequence[str], setup: Setup, model: nn.Module) -> None:
        self._imputer, self._ids, self._setup, self._model = imputer, ids, setup, model

    def __call__(self, number: int, image: Tensor, removed: Tensor, first: int) -> Tensor:
        """(n, H, W, C): an image (H, W, C) without the pixels ``removed`` (n, H, W), at the steps ``first``,
        ``first`` + 1, …; ``number`` counts the repeats of all images.
        """
        index, repeat = divmod(number, self._setup.repeats)
        pixels = image.permute(2, 0, 1).float().cpu().numpy()
        values, name = _values(self._setup, pixels), self._ids[index]

        def imputed(mask: NDArray[np.bool_], step: int) -> Image:
            with _calling(self._setup, f"for image {name} at step {step}", name, str(repeat)):
                return self._imputer(pixels, mask, values, _noise_stream(self._setup, name, repeat))

        masks = removed.cpu().numpy()
        with _network_as_before(self._model, self._setup):
            found = [imputed(mask, step) for step, mask in enumerate(masks, first)]
        made = torch.from_numpy(np.stack(found)).to(image).permute(0, 2, 3, 1)
        # In float64 the imputer saw the image rounded.
        return torch.where(removed[..., None], made, image)


def is_own(removal: Removal) -> bool:
    """Whether a removal is a function of the user's."""
    return not any(removal is ours for ours in REMOVALS.values())


@contextmanager
def _calling(setup: Setup, where: str, *key: str) -> Iterator[None]:
    """What goes wrong in a removal as an InputError that names it, and the image; what a user's own one draws from
    torch, numpy or Python belongs to the seed and the ``key``, and its settings are put back.
    """
    try:
        with ExitStack() as stack:
            if is_own(setup.removal):
                stack.enter_context(settings_as_before())
                stack.enter_context(random_numbers("removal", *key, seed=setup.protocol.seed))
            yield
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a user's function may fail in any way
        raise InputError(f"{_named(setup)}: {reason_of(error)} {where}") from error


@contextmanager
def _network_as_before(model: nn.Module, setup: Setup) -> Iterator[None]:
    """InputError if a user's own removal leaves the network other than before; it is put back in any case."""
    if not is_own(setup.removal):
        yield
        return
    state = NetworkState(model)
    state.without_gradients()
    changed: list[str] = []
    try:
        yield
    finally:
        changed = state.restore()
    if changed:
        raise InputError(
            f"{_named(setup)} changed the network and did not put it back ({', '.join(changed[:3])}): let it work on"
            " copy.deepcopy(model)"
        )


def _require_same(setup: Setup, again: Image, found: Image) -> None:
    if not np.array_equal(again, found):
        raise InputError(f"{_named(setup)}: the same stream gives another image: draw from the stream only")


def _named(setup: Setup) -> str:
    removal = setup.protocol.removal
    own = removal.impute if isinstance(removal, Imputer) else removal
    return f"removal {own if isinstance(own, str) else getattr(own, '__name__', type(own).__name__)!r}"


def _values(setup: Setup, image: Image) -> ValueRange:
    return setup.value_range or ValueRange.of_image(image)


def _noise_stream(setup: Setup, image_id: str, repeat: int) -> Stream:
    """The random values of one repeat of an image, whatever explains it."""
    return Stream(setup.protocol.seed, "noise", image_id, repeat)
