"""Rank correlation between two measures, over explainers or the points of a training run."""

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from aopc.base.arguments import as_array, require_same_length
from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.measures.statistics.bootstrap import RESAMPLES, percentile_interval, resampled_means

#: Means in float64 that differ by this part of the largest differ by the order of their summands.
ROUNDING = 1e-12


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ of two measures over ``points`` points, with its 95 % bootstrap interval.

    ``not_positive`` and ``not_negative`` are the shares of resamples without ρ > 0 and without ρ < 0; ones where it is
    not defined count for both. All NaN where one of the measures is the same at all points; all but ρ, with one image
    only. ``images`` is how many images of the first measure it stands on.
    """

    rho: float
    low: float
    high: float
    points: int
    not_positive: float
    not_negative: float
    images: int


def rank_correlation(
    first: ArrayLike, second: ArrayLike, *, paired: bool = False, seed: int = 0, resamples: int = RESAMPLES
) -> RankCorrelation:
    """Spearman's rank correlation of two means over images, at several points.

    The interval says how far ρ depends on which images were taken: the images behind the two means are resampled. It
    does not say what another training run, or other explainers, would give; ρ stands on the points of these.

    Parameters
    ----------
    first, second
        (N, C) and (M, C): values of N and of M images at the same C points. Images with a NaN are left out.
    paired
        The rows are of the same images, which are resampled together; otherwise apart.
    seed, resamples
        Of the resampling, and how many times.

    Raises
    ------
    InputError
        If the shapes do not agree, or there are fewer than three points.

    Examples
    --------
    >>> rising = [[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]]
    >>> rank_correlation(rising, rising).rho
    1.0
    """
    a, b = (as_array("values", x).astype(np.float64, copy=False) for x in (first, second))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 3:
        raise InputError(
            "a rank correlation needs two arrays (images, points) of the same 3 points or more;"
            f" got {a.shape} and {b.shape}"
        )
    points = a.shape[1]
    usable = [np.isfinite(x).all(axis=1) for x in (a, b)]
    if paired:
        if len(a) != len(b):
            raise InputError(f"paired values must be of the same images; got {len(a)} and {len(b)}")
        usable = [usable[0] & usable[1]] * 2
    a, b = a[usable[0]], b[usable[1]]
    if not len(a) or not len(b):
        return RankCorrelation(np.nan, np.nan, np.nan, points, np.nan, np.nan, 0)
    rho = float(_spearman(a.mean(axis=0)[None], b.mean(axis=0)[None])[0])
    other = seed if paired else seed + 1
    resampled = _spearman(resampled_means(a, resamples, seed), resampled_means(b, resamples, other))
    found = resampled[np.isfinite(resampled)]
    if not len(found) or min(len(a), len(b)) < 2 or not np.isfinite(rho):
        return RankCorrelation(rho, np.nan, np.nan, points, np.nan, np.nan, len(a))
    low, high = (float(end) for end in percentile_interval(found))
    # A comparison with NaN is false.
    below, above = float((~(resampled > 0)).mean()), float((~(resampled < 0)).mean())
    return RankCorrelation(rho, low, high, points, below, above, len(a))


def permutation_p(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> tuple[float, float]:
    """How probable a ρ at least as large, and one at least as small, is if the points had no order.

    Over all orders of the points where there are at most :data:`RESAMPLES` of them, over so many random ones
    otherwise, with the found one counted among them. (1, 1) where ρ is not defined. Points of a training are not
    exchangeable: two things that both rise all along pass this test.

    Examples
    --------
    >>> permutation_p([1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 5.0, 8.0])[0] == 1 / 24
    True
    """
    a, b = (as_array("values", x, "points").astype(np.float64, copy=False) for x in (first, second))
    require_same_length(first=a, second=b)
    found = float(_spearman(a[None], b[None])[0])
    if not np.isfinite(found):
        return 1.0, 1.0
    if math.factorial(len(a)) <= RESAMPLES:
        orders = np.array(list(permutations(range(len(a)))))
    else:
        stream = Stream(seed, "permutation")
        orders = np.stack([np.arange(len(a)), *(stream.permutation(len(a)) for _ in range(RESAMPLES))])
    others = _spearman(a[orders], np.broadcast_to(b, orders.shape))
    # Equal up to rounding counts as equal.
    return float((others >= found - 1e-9).mean()), float((others <= found + 1e-9).mean())


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row; NaN where a row is constant. Values that differ by rounding are the same."""
    a, b = (rankdata(_rounded(x), axis=1) for x in (first, second))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (a * b).sum(axis=1) / scale, np.nan)


def _rounded(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole multiples of :data:`ROUNDING` of each row's largest value."""
    unit = ROUNDING * np.abs(rows).max(axis=1, keepdims=True)
    return np.divide(rows, unit, out=np.zeros_like(rows, dtype=np.float64), where=unit > 0).round()
