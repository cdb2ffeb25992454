"""Single comparisons, claims made of several, and Holm's correction."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import aopc
from aopc.measures.statistics.hypotheses import (
    conjunction,
    difference_reading,
    holm,
    mean_reading,
    share_reading,
    verdict_of,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_no_correction_and_bonferronis(values: list[float]) -> None:
    p = {str(i): v for i, v in enumerate(values)}
    adjusted = holm(p)
    for name, value in p.items():
        assert value <= adjusted[name] <= min(1.0, len(p) * value) + 1e-12
    ranked = sorted(p, key=lambda n: p[n])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(ranked))


def test_holm_by_hand() -> None:
    """Holm (1979): the smallest p times 4, the next times 3, and so on, never falling."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )


def test_verdicts_are_wrong_no_more_often_than_said() -> None:
    """Claims of three comparisons each, of which one is true nowhere: 5 % may be called replicated."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        p_values = {}
        for claim in range(5):
            # The bound is the truth of the first comparison; the others hold clearly.
            readings = [mean_reading("", generator.standard_normal(25) + shift, seed=0) for shift in (0.0, 2.0, 2.0)]
            p_values[str(claim)] = conjunction(readings)
        adjusted = holm({n: min(1.0, 2 * min(p)) for n, p in p_values.items()})
        verdicts = {verdict_of(*p_values[n], adjusted[n]) for n in p_values}
        wrong += bool(verdicts - {"undecided"})
    assert wrong / 400 < 0.08  # 5 % and three standard errors


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 1), st.sampled_from(["above", "below"]))
def test_a_mean_reading_is_students_test(seed: int, bound: float, side: Any) -> None:
    values = np.random.default_rng(seed).standard_normal(20) + 0.3
    found = mean_reading("x", values, seed=0, bound=bound, side=side)
    alternative = {"above": "greater", "below": "less"}[side]
    expected = stats.ttest_1samp(values, bound, alternative=alternative).pvalue
    assert found.p_for == pytest.approx(expected)
    assert found.p_for + found.p_against == pytest.approx(1)
    assert found.low <= found.estimate <= found.high
    assert (found.effect_size > 0) == (found.p_for < 0.5)


def test_readings_of_too_little_decide_nothing() -> None:
    for values in ([], [1.0], [float("nan"), 1.0], [0.0, 0.0]):
        found = mean_reading("x", values, seed=0)
        assert (found.p_for, found.p_against) == (1.0, 1.0)
    always = mean_reading("x", [1.0, 1.0, 1.0], seed=0)
    assert (always.p_for, always.p_against) == (1 / 8, 1.0)  # the sign test


def test_shares_and_differences_are_the_textbooks() -> None:
    found = share_reading("x", [True] * 48 + [False] * 2, bound=0.9)
    assert found.estimate == 0.96
    assert found.p_for == pytest.approx(stats.binom.sf(47, 50, 0.9))
    assert found.low < 0.9 < found.estimate < found.high
    a, b = np.random.default_rng(0).standard_normal((2, 40))
    found = difference_reading("x", a + 1, b[:30], seed=0)
    expected = stats.ttest_ind(a + 1, b[:30], equal_var=False, alternative="greater")
    assert found.p_for == pytest.approx(expected.pvalue)
    assert found.low < found.estimate < found.high
    with pytest.raises(aopc.InputError, match="at least one reading"):
        conjunction([])


def test_what_cannot_be_tested_counts_as_nothing_shown() -> None:
    """A mean over one image, or over none, must not pass for a comparison that holds."""
    nan = np.full(60, np.nan)
    for first in (nan, np.append(nan[1:], 1.0)):
        found = difference_reading("x", first, np.ones(5), seed=0)
        assert (found.p_for, found.p_against) == (1.0, 1.0)
    assert difference_reading("x", [1.0, 1.0], [0.0, 0.0], seed=0).p_for == 1.0
