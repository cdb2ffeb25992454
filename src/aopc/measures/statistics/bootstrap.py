"""95 % intervals by resampling images."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aopc.base.arguments import as_array, as_integer
from aopc.base.errors import InputError
from aopc.base.machine import require_memory
from aopc.base.random import Stream
from aopc.base.text import shown

LEVEL = 0.95
RESAMPLES = 10_000

_CELLS_AT_ONCE = 4_000_000
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Interval:
    """A mean over images with its 95 % percentile bootstrap interval.

    ``mean``, ``low`` and ``high`` are arrays of the shape of one image's value; ``images`` is how many images they
    stand on.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    images: int

    @property
    def numbers(self) -> tuple[float, float, float]:
        """(mean, low, high) of a scalar measure."""
        return float(self.mean), float(self.low), float(self.high)


def bootstrap_mean(values: ArrayLike, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over images and its interval (Efron and Tibshirani 1993, chapter 13).

    Images are the units: noise repeats and random orders of an image are averaged beforehand, and are not
    independent evidence. Give the difference of two explainers on the same images for a paired comparison. Measures
    of the same images and seed are resampled alike.

    Parameters
    ----------
    values
        (N, …), one value or curve an image. Images with a NaN are left out; with one image left the interval is NaN,
        with none the mean too.
    seed, resamples
        Of the resampling, and how many times.

    Examples
    --------
    >>> bootstrap_mean([1.0, 2.0, 3.0, 4.0]).numbers[0]
    2.5
    """
    array = as_array("values", values).astype(np.float64, copy=False)
    if array.ndim == 0:
        raise InputError(f"values must be an array, one value or curve an image; got {shown(values)}")
    as_integer("seed", seed)
    as_integer("resamples", resamples, 1)
    require_memory(8 * resamples * int(np.prod(array.shape[1:])), f"{resamples} resamples")
    shape = array.shape[1:]
    flat = array.reshape(len(array), int(np.prod(shape)))
    flat = flat[np.isfinite(flat).all(axis=1)]
    mean = low = high = np.full(flat.shape[1], np.nan)
    if len(flat):
        mean = flat.mean(axis=0)
    if len(flat) > 1:
        low, high = percentile_interval(resampled_means(flat, resamples, seed))
    return Interval(mean.reshape(shape), low.reshape(shape), high.reshape(shape), len(flat))


def percentile_interval(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, …) → (2, …): between which :data:`LEVEL` of the resamples lie."""
    tail = (1 - LEVEL) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=0)


def resampled_means(flat: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """The means of resamples of the rows: (N, K) → (resamples, K)."""
    rows = max(1, _CELLS_AT_ONCE // len(flat))
    parts = [
        _resample_counts(len(flat), start, min(start + rows, resamples), seed).astype(np.float64) @ flat
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(parts) / len(flat)


# Enough for all resamples of the paper's 5040 images, and small since kept in 16 bits.
@lru_cache(maxsize=16)
def _resample_counts(images: int, first: int, last: int, seed: int) -> NDArray[np.uint16]:
    """How often the resamples ``first`` to ``last`` − 1 hold each image, (last − first, images)."""
    uniform = Stream(seed, "bootstrap", images, first).uniform((last - first, images))
    counts = np.empty(uniform.shape, dtype=np.uint16)
    # A few rows at a time, so that the 64-bit numbers on the way take little memory.
    for start in range(0, len(counts), _ROWS_AT_ONCE):
        part = uniform[start : start + _ROWS_AT_ONCE]
        draws = (part.astype(np.float64) * images).astype(np.int64)
        draws += np.arange(len(part))[:, None] * images
        found = np.bincount(draws.ravel(), minlength=part.size)
        counts[start : start + len(part)] = found.reshape(part.shape)
    return counts
