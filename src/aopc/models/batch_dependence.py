"""Whether the scores of an image depend on what else is in its batch: results would depend on the batch size.

It is tried out. An image's scores must stay where they are while its companion in a batch of two becomes another
image, zero, very large, very small, NaN. What Python decides by looking at values (``if x.mean() > 0.5``) need not
show that way, but is seen by the operators that read them (:mod:`aopc.models.operators`); such a network is a
function of one image where it is given one at a time, so it gets them one at a time.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.base.machine import is_out_of_memory
from aopc.base.notices import say_once
from aopc.models.operators import Operators, recorded
from aopc.models.structure import Findings, isolated

#: (model, batch) → (B, classes).
Scores = Callable[[nn.Module, Tensor], Tensor]

#: How far scores of passes of one size may be apart, as a share of the largest: where a GPU sums in another order.
_SAME = {torch.float64: 1e-13, torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
#: The same for passes of several sizes, or at another place in the batch.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-2, torch.float16: 5e-2, torch.bfloat16: 0.2}
#: A companion's values are so many times the image's largest.
_FAR = 100.0
#: Passes that show whether random numbers that are drawn change the scores.
_DRAWS = 8

_CALLS = (
    "the scores of an image differ from call to call: the forward pass draws random numbers or keeps a state; make it"
    " deterministic in evaluation mode"
)
_COMPANY = (
    "the scores of an image depend on the other images in its batch: they change {when}; evaluate a network that"
    " computes each image by itself"
)

_together: Findings[bool] = Findings()


def can_share_a_batch(model: nn.Module, image: Tensor, scores: Scores) -> bool:
    """Whether images can go through a model in batches; False: one at a time, which is said once.

    It takes 18 passes of one image, once a model and shape of images, on a copy of the model that shares its
    parameters.

    Parameters
    ----------
    model, image
        In evaluation mode; (1, C, H, W), on its device.
    scores
        How the model gives its scores.

    Raises
    ------
    InputError
        If an image's scores depend on the other images in its batch, on their number, or on the calls before.
    """
    kind = image.device.type
    key = tuple(image.shape), image.dtype, image.device, torch.is_autocast_enabled(kind)

    def tried() -> bool:
        with torch.inference_mode(False), torch.no_grad(), _random_numbers_as_before(image.device):
            return _Trial(isolated(model), image.detach().clone(), scores)()

    together = _together(model, key, tried)
    if not together:
        say_once(
            "images go through this network one at a time: its forward pass takes no two of them, or looks at their"
            " values, and may decide otherwise for a batch than for an image"
        )
    return together


class _Trial:
    def __init__(self, model: nn.Module, image: Tensor, scores: Scores) -> None:
        self._model, self._image, self._scores_of = model, image, scores
        self._pair = torch.cat([image, 0.5 * image.flip(2, 3)])
        self._dtype = image.dtype

    def __call__(self) -> bool:
        seen = self._seen()
        reads = seen is not None and bool(seen.reads)
        batch = self._image if reads else self._pair
        alone = reads
        try:
            first = self._scores(batch)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # A network may be written for one image; if it is at fault itself, this pass says so.
            alone, batch = True, self._image
            first = self._scores(batch)
        for _ in range(_DRAWS if seen is not None and seen.random else 1):
            self._require(self._scores(batch), first, _SAME, _CALLS)
        if alone:
            return False
        own = first[:1]
        for companion, name in self._companions(seen):
            try:
                found = self._scores(torch.cat([self._image, companion]))
            except Exception:  # a network may refuse what is no image
                continue
            self._require(found[:1], own, _SAME, _COMPANY.format(when=f"when another one becomes {name}"))
        swapped = self._scores(self._pair.flip(0))[1:]
        self._require(swapped, own, _ROUNDING, _COMPANY.format(when="with their places"))
        self._require(self._scores(self._image), own, _ROUNDING, _COMPANY.format(when="with their number"))
        self._require(self._scores(batch), first, _SAME, _CALLS)
        return True

    def _scores(self, batch: Tensor) -> Tensor:
        # A copy, since some models change their input.
        found = self._scores_of(self._model, batch.clone())
        self._dtype = max(self._dtype, found.dtype, key=lambda dtype: _ROUNDING.get(dtype, 1.0))
        return found.double()

    def _seen(self) -> Operators | None:
        """What runs; None where it cannot be followed."""
        try:
            return recorded(self._model, self._pair.clone())[0]
        except Exception:  # if the model itself is at fault, the next pass says so
            return None

    def _companions(self, seen: Operators | None) -> Iterator[tuple[Tensor, str]]:
        image = self._image
        yield torch.zeros_like(image), "zero"
        # On a GPU an index beyond the end, made of a value that no image has, ends the process.
        if image.is_cuda and (seen is None or any(_is_index(v.dtype) for o in seen.operations for v in o.inputs)):
            return
        far = min(_FAR * (float(image.abs().max()) + 1), torch.finfo(image.dtype).max / 4)
        yield torch.full_like(image, far), "very large"
        yield torch.full_like(image, -far), "very small"
        yield torch.full_like(image, torch.nan), "NaN"

    def _require(self, found: Tensor, expected: Tensor, allowed: Mapping[torch.dtype, float], message: str) -> None:
        largest = float(expected.abs().max())
        # What is wrong with the scores themselves is said where they are used.
        if (
            np.isfinite(largest)
            and not float((found - expected).abs().max()) <= allowed.get(self._dtype, 0.2) * largest
        ):
            raise InputError(message)


def _is_index(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and dtype != torch.bool


@contextmanager
def _random_numbers_as_before(device: torch.device) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
