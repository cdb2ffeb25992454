"""From measurements to tests: one-sided comparisons, claims made of several, corrections for many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from aopc.base.arguments import as_array, as_number
from aopc.base.errors import InputError
from aopc.base.names import require_known
from aopc.measures.rounding import RESOLUTION
from aopc.measures.statistics.bootstrap import (
    LEVEL,
    RESAMPLES,
    bootstrap_mean,
    percentile_interval,
    resampled_means,
)

#: Of the family of all claims.
SIGNIFICANCE = 0.05

Verdict = Literal["replicated", "not replicated", "undecided", "could not run"]
Side = Literal["above", "below"]


@dataclass(frozen=True)
class Reading:
    """One comparison that a claim consists of.

    Attributes
    ----------
    what
        In words.
    estimate, low, high
        With its 95 % interval; the claim says that it is ``side`` of ``bound``.
    effect_size
        (estimate − bound) in standard deviations over images, signed so that positive speaks for the claim; NaN where
        there is no such thing: of one image, of a share or a correlation, and where the images do not differ by more
        than rounding (:data:`RESOLUTION`).
    p_for, p_against
        One-sided: the probability of a reading at least as far on the claim's side (on the other side), if the
        estimate's true value were the bound. Together 1 or more: both sides cannot be shown at once.
    n
        How many images, or points of a training, it stands on.
    """

    what: str
    estimate: float
    low: float
    high: float
    bound: float
    side: Side
    effect_size: float
    p_for: float
    p_against: float
    n: int

    def __post_init__(self) -> None:
        if not (0 <= self.p_for <= 1 and 0 <= self.p_against <= 1 and self.p_for + self.p_against > 1 - RESOLUTION):
            raise InputError(
                f"{self.what}: two one-sided p-values add up to 1 or more; got {self.p_for} and {self.p_against}"
            )


def mean_reading(
    what: str, values: ArrayLike, *, seed: int, bound: float = 0.0, side: Side = "above", scale: float = 0.0
) -> Reading:
    """The mean of one value an image, or of one paired difference, against a bound.

    Student's t test and a bootstrap interval over images; images with NaN are left out. Where the images do not differ
    by more than rounding there is no spread to judge by: the sign test then. Of differences, ``scale`` is the largest
    of the values that were subtracted: what float32 rounded is a part of those, however small the differences are.
    """
    require_known("side", side, get_args(Side))
    array = _finite(values)
    n, rounding = len(array), _rounding(array, np.array([bound, scale]))
    lead = (1.0 if side == "above" else -1.0) * (array - bound)
    spread = float(lead.std(ddof=1)) if n > 1 else 0.0
    size = float(lead.mean()) / spread if spread > rounding else np.nan
    if spread > rounding:
        p_for, p_against = (float(tail(size * np.sqrt(n), n - 1)) for tail in (stats.t.sf, stats.t.cdf))
    else:
        p_for, p_against = _sign_test(lead, rounding)
    estimate, low, high = bootstrap_mean(array, seed=seed).numbers
    return Reading(what, estimate, low, high, bound, side, size, p_for, p_against, n)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = as_array("values", values).astype(np.float64, copy=False)
    if array.ndim != 1:
        raise InputError(f"values must be one an image; got the shape {array.shape}")
    return array[np.isfinite(array)]


def _rounding(*values: NDArray[np.float64]) -> float:
    """What float32 cannot tell from zero among values of this size."""
    return RESOLUTION * max(float(np.abs(v).max(initial=0.0)) for v in values)


def _sign_test(lead: NDArray[np.float64], rounding: float) -> tuple[float, float]:
    """(p for, p against); leads within rounding are ties, and one image alone decides nothing."""
    above, below = int((lead > rounding).sum()), int((lead < -rounding).sum())
    if len(lead) < 2 or not above + below:
        return 1.0, 1.0
    return tuple(float(stats.binom.sf(k - 1, above + below, 0.5)) for k in (above, below))  # type: ignore[return-value]


def difference_reading(what: str, first: ArrayLike, second: ArrayLike, *, seed: int, scale: float = 0.0) -> Reading:
    """The difference of two means over different images is above zero: Welch's test.

    Without two images a side, or without a spread beyond rounding, nothing is decided; ``scale`` as in
    :func:`mean_reading`.
    """
    a, b = _finite(first), _finite(second)
    n = len(a) + len(b)
    difference = float(a.mean() - b.mean()) if len(a) and len(b) else np.nan
    pooled = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)) if min(len(a), len(b)) > 1 else 0.0
    if not pooled > _rounding(a, b, np.array([scale])):
        return Reading(what, difference, np.nan, np.nan, 0.0, "above", np.nan, 1.0, 1.0, n)
    means = [resampled_means(x[:, None], RESAMPLES, s)[:, 0] for x, s in ((a, seed), (b, seed + 1))]
    low, high = (float(end) for end in percentile_interval(means[0] - means[1]))
    p_for, p_against = (
        float(stats.ttest_ind(a, b, equal_var=False, alternative=side).pvalue) for side in ("greater", "less")
    )
    return Reading(what, difference, low, high, 0.0, "above", difference / pooled, p_for, p_against, n)


def share_reading(what: str, flags: ArrayLike, *, bound: float) -> Reading:
    """The share of images of which something is true is above a bound: the exact binomial test.

    The interval is Clopper and Pearson's. Of no image nothing is decided.
    """
    found = as_array("flags", flags, kinds="b")
    if found.ndim != 1:
        raise InputError(f"flags must have one value an image; got shape {found.shape}")
    as_number("bound", bound, 0, 1)
    count, n = int(found.sum()), len(found)
    if not n:
        return Reading(what, np.nan, np.nan, np.nan, bound, "above", np.nan, 1.0, 1.0, 0)
    low, high = (float(end) for end in stats.binomtest(count, n, bound).proportion_ci(LEVEL))
    p_for, p_against = (
        float(stats.binomtest(count, n, bound, alternative=side).pvalue) for side in ("greater", "less")
    )
    return Reading(what, count / n, low, high, bound, "above", np.nan, p_for, p_against, n)


def conjunction(readings: Sequence[Reading]) -> tuple[float, float]:
    """(p for, p against) the claim that all of them hold.

    For: the largest p, since all must hold (intersection–union test, Berger 1982), which needs no correction.
    Against: the smallest p times their number (Bonferroni), since one that fails suffices.

    Raises
    ------
    InputError
        If there is none.
    """
    if not readings:
        raise InputError("a claim needs at least one reading")
    against = min(r.p_against for r in readings) * len(readings)
    return max(r.p_for for r in readings), min(1.0, against)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: the chance of any wrong rejection stays below the level.

    Holm: A simple sequentially rejective multiple test procedure (1979).

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    ranked = sorted(p_values, key=lambda name: p_values[name])
    corrected = (min(1.0, (len(ranked) - i) * p_values[name]) for i, name in enumerate(ranked))
    return dict(zip(ranked, accumulate(corrected, max), strict=True))


def hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """Hochberg's step-up correction: as Holm's, but all are rejected where the largest p is below the level.

    Hochberg: A sharper Bonferroni procedure for multiple tests of significance (1988). For tests that are independent
    or positively dependent; that *all* are rejected takes no such assumption.

    Examples
    --------
    >>> hochberg({"a": 0.01, "b": 0.04, "c": 0.03})
    {'b': 0.04, 'c': 0.04, 'a': 0.03}
    """
    ranked = sorted(p_values, key=lambda name: -p_values[name])
    corrected = (min(1.0, (i + 1) * p_values[name]) for i, name in enumerate(ranked))
    return dict(zip(ranked, accumulate(corrected, min), strict=True))


def verdict_of(p_for: float, p_against: float, adjusted: float) -> Verdict:
    """The rule: significant after all corrections, on the side with the smaller p."""
    if not adjusted < SIGNIFICANCE:
        return "undecided"
    return "replicated" if p_for < p_against else "not replicated"
