"""Whether the scores of an image depend on what else is in its batch: results would depend on the batch size.

It is tried out. An image's scores must stay where they are, at the first and at the last place of a batch of three,
while its companions become another image, the same one, zero, very large, very small, NaN. What Python decides by
looking at values (``if x.mean() > 0.5``) need not show that way, but is seen by the operators that read them
(:mod:`aopc.models.operators`); such a network is a function of one image where it is given one at a time, so it gets
them one at a time. What happens in larger batches only, or after many calls, shows where it happens: of each size of
batch one image is compared with itself alone (:class:`Alone`), and the first image once more at the end
(:func:`unchanging`).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

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
#: What is done to a model while it runs.
Within = Callable[[nn.Module], AbstractContextManager[object]]

#: How far scores of passes of one size may be apart, as a share of the largest: where a GPU sums in another order.
_SAME = {torch.float64: 1e-13, torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
#: The same for passes of several sizes, or at another place in the batch; products of 10-bit fractions on GPUs.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 5e-2, torch.bfloat16: 0.2}
_ROUNDING_TF32 = 1e-2
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

#: Whether images can share a batch, and the coarsest arithmetic of a pass.
_tried: Findings[tuple[bool, torch.dtype]] = Findings()


def can_share_a_batch(model: nn.Module, image: Tensor, scores: Scores) -> bool:
    """Whether images can go through a model in batches; False: one at a time, which is said once.

    It takes some 50 passes of one image, once a model and shape of images, on a copy of the model that shares its
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
    together = _found(model, image, scores)[0]
    if not together:
        say_once(
            "images go through this network one at a time: its forward pass takes no two of them, or looks at their"
            " values, and may decide otherwise for a batch than for an image"
        )
    return together


def _found(model: nn.Module, image: Tensor, scores: Scores) -> tuple[bool, torch.dtype]:
    key = tuple(image.shape), image.dtype, image.device, torch.is_autocast_enabled(image.device.type)

    def tried() -> tuple[bool, torch.dtype]:
        with torch.inference_mode(False), torch.no_grad(), _random_numbers_as_before(image.device):
            trial = _Trial(isolated(model), image.detach().clone(), scores)
            return trial(), trial.dtype

    return _tried(model, key, tried)


class _Trial:
    def __init__(self, model: nn.Module, image: Tensor, scores: Scores) -> None:
        self._model, self._image, self._scores_of = model, image, scores
        self._other = 0.5 * image.flip(2, 3)
        self._pair = torch.cat([image, self._other])
        self.dtype = _coarsest([image.dtype])

    def __call__(self) -> bool:
        seen, watched = self._seen(self._pair)
        reads = seen is not None and bool(seen.reads)
        self.dtype = _coarsest([self.dtype, *_kinds(seen)])
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
        if alone:
            watched = self._seen(batch)[1]
        if watched is not None:
            # Nothing is freed while a pass is watched: scores made of addresses become others.
            self._require(watched, first, _ROUNDING, _CALLS)
        for _ in range(_DRAWS if seen is not None and seen.random else 1):
            self._require(self._scores(batch), first, _SAME, _CALLS)
        if seen is not None and seen.random:
            say_once(
                f"the forward pass draws random numbers, by {seen.random[0]}; they changed no score in {_DRAWS} passes"
            )
        if alone:
            return False
        own = self._at_both_ends(self._other)
        for companion, name in self._companions(seen):
            try:
                found = self._at_both_ends(companion)
            except Exception:  # a network may refuse what is no image
                continue
            self._require(found, own, _SAME, _COMPANY.format(when=f"when another one becomes {name}"))
        self._require(own[1:], own[:1], _ROUNDING, _COMPANY.format(when="with their places"))
        for number in (first[:1], self._scores(self._image)):
            self._require(number, own[:1], _ROUNDING, _COMPANY.format(when="with their number"))
        self._require(self._scores(batch), first, _SAME, _CALLS)
        return True

    def _scores(self, batch: Tensor) -> Tensor:
        # A copy, since some models change their input.
        return self._scores_of(self._model, batch.clone())

    def _require(self, found: Tensor, expected: Tensor, allowed: Mapping[torch.dtype, float], message: str) -> None:
        _require_close(found, expected, allowed, self.dtype, message)

    def _at_both_ends(self, companion: Tensor) -> Tensor:
        """(2, classes): the image's scores before two companions, and behind them."""
        before = self._scores(torch.cat([self._image, companion, companion]))
        return torch.cat([before[:1], self._scores(torch.cat([companion, companion, self._image]))[2:]])

    def _seen(self, batch: Tensor) -> tuple[Operators | None, Tensor | None]:
        """What runs, and the scores; None where it cannot be followed."""
        found: list[Tensor] = []

        def forward(images: Tensor) -> Tensor:
            found.append(self._scores_of(self._model, images))
            return found[0]

        before = random.getstate(), _numpy_state()
        try:
            seen = recorded(forward, batch.clone())[0]
        except Exception:  # if the model itself is at fault, the next pass says so
            return None, None
        seen.random += [
            name
            for name, was, now in zip(
                ("random", "numpy.random"), before, (random.getstate(), _numpy_state()), strict=True
            )
            if was != now
        ]
        return seen, found[0]

    def _companions(self, seen: Operators | None) -> Iterator[tuple[Tensor, str]]:
        image = self._image
        yield image, "the same one"
        yield torch.zeros_like(image), "zero"
        # On a GPU an index beyond the end, made of a value that no image has, ends the process.
        if image.is_cuda and (seen is None or any(_is_index(v.dtype) for o in seen.operations for v in o.inputs)):
            return
        far = min(_FAR * (float(image.abs().max()) + 1), torch.finfo(image.dtype).max / 4)
        yield torch.full_like(image, far), "very large"
        yield torch.full_like(image, -far), "very small"
        yield torch.full_like(image, torch.nan), "NaN"


class Alone:
    """Compares what an image gets in a batch with what the model gives for it alone, once a size of batch.

    Parameters
    ----------
    model, image, scores
        As of :func:`can_share_a_batch`.
    """

    def __init__(self, model: nn.Module, image: Tensor, scores: Scores) -> None:
        self._model, self._scores_of = model, scores
        self._dtype = _found(model, image, scores)[1]
        self._sizes: set[int] = set()

    def asks(self, size: int) -> bool:
        """Whether no batch of this size was compared."""
        return size not in self._sizes

    def require(self, image: Tensor, found: Tensor, size: int, within: Within = nullcontext) -> None:
        """InputError unless the scores (1, classes) that an image (1, C, H, W) got in a batch of so many are its own,
        up to rounding.
        """
        self.compare(found, self.scores(image, within), f"of {size}")
        self._sizes.add(size)

    def scores(self, image: Tensor, within: Within = nullcontext) -> Tensor:
        """What a copy of the model gives for an image (1, C, H, W) within a context."""
        model = isolated(self._model)
        with within(model):
            # A copy even with one channel, whose strides can be those of another format.
            return self._scores_of(model, image.clone(memory_format=torch.contiguous_format))

    def compare(self, found: Tensor, own: Tensor, batch: str) -> None:
        """InputError unless scores that were found in some batch are an image's own, up to rounding."""
        _require_close(found, own, _ROUNDING, self._dtype, _COMPANY.format(when=f"in a batch {batch}"))


@contextmanager
def unchanging(model: nn.Module, image: Tensor, scores: Scores) -> Iterator[None]:
    """InputError if the model gives an image (1, C, H, W) other scores afterwards than before."""
    dtype = _found(model, image, scores)[1]
    before = scores(isolated(model), image.clone())
    yield
    _require_close(scores(isolated(model), image.clone()), before, _SAME, dtype, _CALLS)


def agree(model: nn.Module, image: Tensor, scores: Scores, found: Tensor, expected: Tensor) -> bool:
    """Whether scores of one image that were computed in two ways are the same up to rounding."""
    return _agree(found, expected, _ROUNDING, _found(model, image, scores)[1])


def _require_close(
    found: Tensor, expected: Tensor, allowed: Mapping[torch.dtype, float], dtype: torch.dtype, message: str
) -> None:
    if not _agree(found, expected, allowed, dtype):
        raise InputError(message)


def _agree(found: Tensor, expected: Tensor, allowed: Mapping[torch.dtype, float], dtype: torch.dtype) -> bool:
    """Whether scores are the same to what is allowed for the coarsest arithmetic among them."""
    largest = float(expected.abs().max())
    share = allowed[_coarsest([dtype, found.dtype])]
    # Convolutions on GPUs may take products of 10-bit fractions.
    if allowed is _ROUNDING and found.is_cuda:
        share = max(share, _ROUNDING_TF32)
    # What is wrong with the scores themselves is said where they are used.
    if not np.isfinite(largest):
        return True
    return bool(float((found.double() - expected.double()).abs().max()) <= share * largest)


def _numpy_state() -> str:
    return repr(np.random.get_state())  # noqa: NPY002


#: Operators whose results jump where their input changes by rounding.
_JUMPING = ("round", "quantize", "floor", "ceil", "sign", "trunc")


def _kinds(seen: Operators | None) -> Iterator[torch.dtype]:
    """In what the operators of a pass compute."""
    for operation in seen.operations if seen is not None else ():
        yield from (value.dtype for value in operation.results)
        if any(word in operation.name for word in _JUMPING):
            yield torch.bfloat16


def _coarsest(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    return max((d for d in dtypes if d in _ROUNDING), key=lambda d: _ROUNDING[d], default=torch.float32)


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
