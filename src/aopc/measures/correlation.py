"""Rank correlation between two measures over the points of a training run, with its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from aopc.errors import InputError
from aopc.measures.bootstrap import LEVEL, RESAMPLES, resampled_means


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ of two measures over ``points`` points, with its 95 % bootstrap interval.

    NaN where one of the measures is the same at all points.
    """

    rho: float
    low: float
    high: float
    points: int


def rank_correlation(
    first: ArrayLike, second: ArrayLike, *, seed: int = 0, resamples: int = RESAMPLES
) -> RankCorrelation:
    """Spearman's rank correlation of two mean curves.

    The interval says how far ρ depends on which images were taken: the images behind the two curves
    are resampled, independently of each other. It does not say what another training run would
    give; ρ stands on the points of this one.

    Parameters
    ----------
    first, second
        (N, C) and (M, C): values of N and of M images at the same C points.
    seed
        Of the resampling.
    resamples
        How many.

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
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 3:
        raise InputError(
            "a rank correlation needs two arrays (images, points) of the same 3 points or more; got"
            f" {a.shape} and {b.shape}"
        )
    rho = float(_spearman(a.mean(axis=0)[None], b.mean(axis=0)[None])[0])
    means = resampled_means(a, resamples, seed), resampled_means(b, resamples, seed + 1)
    found = _spearman(*means)
    tail = (1 - LEVEL) / 2
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [tail, 1 - tail]) if len(found) else (np.nan, np.nan)
    return RankCorrelation(rho, float(low), float(high), a.shape[1])


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row; NaN where a row is constant."""
    a, b = (rankdata(x, axis=1) for x in (first, second))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (a * b).sum(axis=1) / scale, np.nan)
