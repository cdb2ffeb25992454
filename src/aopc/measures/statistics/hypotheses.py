"""From measurements to verdicts: one-sided tests, claims made of several, Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from aopc.base.errors import InputError
from aopc.measures.statistics.bootstrap import LEVEL, RESAMPLES, bootstrap_mean, resampled_means

#: Of the family of all claims.
SIGNIFICANCE = 0.05

Verdict = Literal["replicated", "not replicated", "undecided", "could not run"]


@dataclass(frozen=True)
class Reading:
    """One comparison that a claim consists of.

    Attributes
    ----------
    what
        In words.
    estimate, low, high
        With its 95 % interval; the claim says that it is ``side`` of ``bound``.
    bound, side
        The hypothesis.
    effect_size
        (estimate − bound) in standard deviations over images, signed so that positive speaks for the
        claim; NaN where there is no such thing.
    p_for, p_against
        One-sided: the probability of a reading at least as far on the claim's side (on the other
        side), if the estimate's true value were the bound.
    n
        How many images, or points of a training, it stands on.
    """

    what: str
    estimate: float
    low: float
    high: float
    bound: float
    side: Literal["above", "below"]
    effect_size: float
    p_for: float
    p_against: float
    n: int


def mean_reading(
    what: str,
    values: ArrayLike,
    *,
    seed: int,
    bound: float = 0.0,
    side: Literal["above", "below"] = "above",
) -> Reading:
    """The mean of one value an image, or of one paired difference, against a bound.

    Student's t test and a bootstrap interval over images; images with NaN are left out.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    interval = bootstrap_mean(array, seed=seed)
    sign = 1.0 if side == "above" else -1.0
    lead = sign * (array - bound)
    spread = float(lead.std(ddof=1)) if len(lead) > 1 else float("nan")
    mean = float(lead.mean()) if len(lead) else float("nan")
    if spread > 0:
        t = mean / spread * np.sqrt(len(lead))
        p_for, p_against = (float(tail(t, len(lead) - 1)) for tail in (stats.t.sf, stats.t.cdf))
    else:
        p_for, p_against = _without_spread(mean, len(lead))
    size = mean / spread if spread > 0 else float("nan")
    estimate, low, high = interval.numbers
    return Reading(what, estimate, low, high, bound, side, size, p_for, p_against, len(array))


def _without_spread(mean: float, n: int) -> tuple[float, float]:
    """All images alike, or one only: the sign test, since there is no spread to judge by."""
    if n < 2 or mean == 0:
        return 1.0, 1.0
    return (0.5**n, 1.0) if mean > 0 else (1.0, 0.5**n)


def difference_reading(what: str, first: ArrayLike, second: ArrayLike, *, seed: int) -> Reading:
    """The difference of two means over different images is above zero: Welch's test.

    Without two images a side, or without any spread, nothing is decided.
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (first, second))
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if min(len(a), len(b)) < 2 or not np.ptp(a) + np.ptp(b):
        nan = float("nan")
        found = float(a.mean() - b.mean()) if len(a) and len(b) else nan
        return Reading(what, found, nan, nan, 0.0, "above", nan, 1.0, 1.0, len(a) + len(b))
    difference = float(a.mean() - b.mean())
    means = [resampled_means(x[:, None], RESAMPLES, s)[:, 0] for x, s in ((a, seed), (b, seed + 1))]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means[0] - means[1], [tail, 1 - tail])
    p_for, p_against = (
        float(stats.ttest_ind(a, b, equal_var=False, alternative=side).pvalue)
        for side in ("greater", "less")
    )
    pooled = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    size = difference / pooled if pooled > 0 else float("nan")
    n = len(a) + len(b)
    return Reading(
        what, difference, float(low), float(high), 0.0, "above", size, p_for, p_against, n
    )


def share_reading(what: str, flags: ArrayLike, *, bound: float) -> Reading:
    """The share of images of which something is true is above a bound: the exact binomial test.

    The interval is Clopper and Pearson's.
    """
    found = np.asarray(flags, dtype=bool)
    count, n = int(found.sum()), len(found)
    test = stats.binomtest(count, n, bound, alternative="greater")
    against = stats.binomtest(count, n, bound, alternative="less")
    interval = stats.binomtest(count, n, bound).proportion_ci(LEVEL)
    return Reading(
        what,
        count / n,
        float(interval.low),
        float(interval.high),
        bound,
        "above",
        float("nan"),
        float(test.pvalue),
        float(against.pvalue),
        n,
    )


def conjunction(readings: Sequence[Reading]) -> tuple[float, float]:
    """(p for, p against) the claim that all of them hold.

    For: the largest p, since all must hold (intersection–union test, Berger 1982), which needs no
    correction. Against: the smallest p times their number (Bonferroni), since one that fails suffices.

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
    adjusted: dict[str, float] = {}
    largest = 0.0
    ranked = sorted(p_values.items(), key=lambda item: item[1])
    for i, (name, p) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - i) * p))
        adjusted[name] = largest
    return adjusted


def verdict_of(p_for: float, p_against: float, adjusted: float) -> Verdict:
    """The rule: significant after Holm's correction, on the side with the smaller p."""
    if not adjusted < SIGNIFICANCE:
        return "undecided"
    return "replicated" if p_for < p_against else "not replicated"
