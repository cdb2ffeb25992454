"""Single comparisons, claims made of several, and Holm's correction."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import aopc
from aopc.measures.rounding import RESOLUTION
from aopc.measures.statistics.bootstrap import bootstrap_mean, resampled_means
from aopc.measures.statistics.hypotheses import (
    Reading,
    conjunction,
    difference_reading,
    hochberg,
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


def test_hochberg_by_hand() -> None:
    """Hochberg (1988): the largest p as it is, the next times 2, and so on, never rising."""
    assert hochberg({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.04, "b": 0.04}
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_hochberg_rejects_all_where_the_largest_is_small(values: list[float]) -> None:
    p = {str(i): v for i, v in enumerate(values)}
    step_up, step_down = hochberg(p), holm(p)
    assert max(step_up.values()) == max(values)
    assert all(v <= step_up[name] <= step_down[name] + 1e-12 for name, v in p.items())


def test_a_claim_of_several_readings() -> None:
    readings = [Reading("x", 0, 0, 0, 0, "above", 0, p, 1 - p, 9) for p in (0.01, 0.03, 0.99)]
    assert conjunction(readings) == pytest.approx((0.99, 0.03))
    assert verdict_of(0.99, 0.03, 0.06) == "undecided"
    assert verdict_of(0.99, 0.03, 0.049) == "not replicated"
    assert verdict_of(0.02, 0.98, 0.04) == "replicated"


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


@pytest.mark.parametrize("bound", [0.99, 0.0, 1.0])
@pytest.mark.parametrize("spread", [0.0, 1e-16, 1e-13, 0.4 * RESOLUTION])
def test_a_spread_of_rounding_is_no_denominator(spread: float, bound: float) -> None:
    """C11: similarities of 1 up to the rounding of float64 had an effect size of 769631134718."""
    values = 1 - spread * np.random.default_rng(0).random(40)
    found = mean_reading("x", values, seed=0, bound=bound)
    assert np.isnan(found.effect_size)
    # The bound itself is no evidence either way; beyond it, the sign test's p.
    assert (found.p_for, found.p_against) == ((1.0, 1.0) if bound == 1 else (0.5**40, 1.0))
    two = difference_reading("x", values, values[:9] + 1, seed=0)
    assert (two.p_for, two.p_against) == (1.0, 1.0)
    assert np.isnan([two.effect_size, two.low, two.high]).all()


def values_of_any_kind() -> st.SearchStrategy[list[float]]:
    sizes = st.sampled_from([0.0, 1e-300, 1e-16, 1e-9, 1e-3, 1.0, 1e9, 1e100, float("nan"), float("inf")])
    near = st.builds(lambda size, rounding: size * (1 + rounding * 1e-15), sizes, st.integers(-3, 3))
    return st.lists(st.one_of(near, st.floats(-10, 10)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(values_of_any_kind(), values_of_any_kind(), st.sampled_from([0.0, 0.9, 1.0]))
def test_every_reading_is_defined(first: list[float], second: list[float], bound: float) -> None:
    """Whatever the values: p-values of one side at most, and an effect size of a readable size or none."""
    readings = [mean_reading("x", first, seed=0, bound=bound), difference_reading("x", first, second, seed=0)]
    readings.append(share_reading("x", np.array(first, dtype=float) > 1, bound=0.9))
    for found in readings:
        assert found.p_for + found.p_against >= 1 - 1e-6
        assert np.isnan(found.effect_size) or abs(found.effect_size) <= 3 / RESOLUTION
        assert found.n > 1 or min(found.p_for, found.p_against) > 0.09


def test_both_sides_cannot_be_shown() -> None:
    with pytest.raises(aopc.InputError, match="add up to 1"):
        Reading("x", 0, 0, 0, 0, "above", 0, 0.01, 0.02, 9)
    with pytest.raises(aopc.InputError, match="got nan"):
        Reading("x", 0, 0, 0, 0, "above", 0, float("nan"), 1.0, 9)


def test_a_mean_reading_by_hand() -> None:
    """1 2 3 against 1: mean 1 beyond, standard deviation 1, t = √3 with 2 degrees of freedom."""
    found = mean_reading("x", [1.0, 2.0, 3.0, np.nan], seed=6, bound=1.0)
    p = 0.5 - 3**0.5 / (2 * 5**0.5)  # the distribution function of t₂ has a closed form
    assert (found.what, found.bound, found.side, found.n) == ("x", 1.0, "above", 3)
    assert (found.estimate, found.effect_size) == pytest.approx((2.0, 1.0))
    assert (found.p_for, found.p_against) == pytest.approx((p, 1 - p))
    assert (found.estimate, found.low, found.high) == bootstrap_mean([1.0, 2.0, 3.0], seed=6).numbers
    below = mean_reading("y", [1.0, 2.0, 3.0], seed=6, bound=1.0, side="below")
    assert (below.what, below.bound, below.side) == ("y", 1.0, "below")
    assert (below.estimate, below.effect_size) == pytest.approx((2.0, -1.0))
    assert (below.p_for, below.p_against) == pytest.approx((1 - p, p))
    assert mean_reading("x", [1.0, 2.0, 3.0], seed=0) == mean_reading("x", [1.0, 2.0, 3.0], seed=0, bound=0.0)


def test_the_sign_test_by_hand() -> None:
    """n images that are all alike: all on one side has probability 2⁻ⁿ."""
    for values, bound, side, expected in (
        ([3.0, 3.0], 2.0, "above", (1 / 4, 1.0)),
        ([3.0, 3.0], 4.0, "above", (1.0, 1 / 4)),
        ([3.0, 3.0], 4.0, "below", (1 / 4, 1.0)),
        ([3.0] * 5, 4.0, "below", (1 / 32, 1.0)),
        ([3.0, 3.0], 3.0, "above", (1.0, 1.0)),
        ([3.0], 2.0, "above", (1.0, 1.0)),
    ):
        found = mean_reading("x", values, seed=0, bound=bound, side=side)  # type: ignore[arg-type]
        assert (found.p_for, found.p_against) == expected
        assert np.isnan(found.effect_size)
        assert found.estimate == 3.0


def test_a_difference_reading_by_hand() -> None:
    """Means 5 and 2, variances 2 and 1: three images a side is not asked for, two are enough."""
    first, second = [4.0, 6.0, np.nan], [1.0, 2.0, 3.0]
    found = difference_reading("x", first, second, seed=3)
    # Welch: t = 3 / √(2/2 + 1/3), and its degrees of freedom.
    error = (1 + 1 / 3) ** 0.5
    freedom = error**4 / (1**2 / 1 + (1 / 3) ** 2 / 2)
    assert found.estimate == pytest.approx(3.0)
    assert found.effect_size == pytest.approx(3 / 1.5**0.5)
    assert (found.p_for, found.p_against) == pytest.approx(
        (stats.t.sf(3 / error, freedom), stats.t.cdf(3 / error, freedom))
    )
    assert (found.what, found.bound, found.side, found.n) == ("x", 0.0, "above", 5)
    # The two sides are resampled apart, under the seed and the next.
    a = resampled_means(np.array([[4.0], [6.0]]), 10_000, 3)
    b = resampled_means(np.array([[1.0], [2.0], [3.0]]), 10_000, 4)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(a - b, [0.025, 0.975])))
    back = difference_reading("x", second, first, seed=3)
    assert (back.estimate, back.p_for) == pytest.approx((-found.estimate, found.p_against))


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], [5.0]), ([], [1.0, 2.0])])
def test_two_images_a_side_are_needed(first: list[float], second: list[float]) -> None:
    found = difference_reading("x", first, second, seed=0)
    assert (found.p_for, found.p_against) == (1.0, 1.0)
    assert np.isnan((found.low, found.high, found.effect_size)).all()
    assert (found.what, found.bound, found.side) == ("x", 0.0, "above")
    assert found.n == len(first) + len(second)
    known = np.mean(first) - np.mean(second) if first else np.nan
    assert found.estimate == pytest.approx(known, nan_ok=True)


def test_one_side_without_spread_is_compared() -> None:
    found = difference_reading("x", [2.0, 2.0], [0.0, 1.0], seed=0)
    expected = stats.ttest_ind([2.0, 2.0], [0.0, 1.0], equal_var=False, alternative="less")
    assert found.p_against == pytest.approx(expected.pvalue)
    assert found.effect_size == pytest.approx(1.5 / 0.5)


def test_a_share_reading_by_hand() -> None:
    """8 of 10 against a half: (45 + 10 + 1) / 1024 for 8 or more; Clopper and Pearson's interval is of beta quantiles."""
    found = share_reading("x", [True] * 8 + [False] * 2, bound=0.5)
    assert (found.what, found.estimate, found.bound, found.side, found.n) == ("x", 0.8, 0.5, "above", 10)
    assert (found.p_for, found.p_against) == pytest.approx((56 / 1024, 1 - 11 / 1024))
    assert (found.low, found.high) == pytest.approx((stats.beta.ppf(0.025, 8, 3), stats.beta.ppf(0.975, 9, 2)))
    assert np.isnan(found.effect_size)


def test_a_conjunction_by_hand() -> None:
    """For: the largest. Against: the smallest times their number, 1 at most."""

    def read(p_for: float, p_against: float) -> Reading:
        return Reading("", 0.0, 0.0, 0.0, 0.0, "above", 0.0, p_for, p_against, 1)

    assert conjunction([read(0.01, 0.99), read(0.2, 0.8), read(0.9, 0.1)]) == pytest.approx((0.9, 0.3))
    assert conjunction([read(0.3, 0.7), read(0.4, 0.6)]) == (0.4, 1.0)
    assert conjunction([read(0.3, 0.7)]) == (0.3, 0.7)


@pytest.mark.parametrize(
    ("p_for", "p_against", "adjusted", "verdict"),
    [
        (0.001, 0.9, 0.049, "replicated"),
        (0.9, 0.001, 0.049, "not replicated"),
        (0.001, 0.9, 0.05, "undecided"),
        (0.9, 0.001, 0.06, "undecided"),
        (0.9, 0.001, np.nan, "undecided"),
    ],
)
def test_a_verdict_by_the_rule(p_for: float, p_against: float, adjusted: float, verdict: str) -> None:
    assert verdict_of(p_for, p_against, adjusted) == verdict


def test_holm_never_exceeds_1() -> None:
    assert holm({"a": 0.6, "b": 0.3, "c": 0.5}) == pytest.approx({"b": 0.9, "c": 1.0, "a": 1.0})


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


def test_values_that_are_not_one_an_image_are_refused() -> None:
    for read in (
        lambda values: mean_reading("a", values, seed=0),
        lambda values: difference_reading("a", values, [1.0, 2.0], seed=0),
        lambda values: difference_reading("a", [1.0, 2.0], values, seed=0),
    ):
        with pytest.raises(aopc.InputError, match="values must be numbers"):
            read(["a"])
        with pytest.raises(aopc.InputError, match=r"values must be one an image; got the shape \(1, 2\)"):
            read([[1.0, 2.0]])
    with pytest.raises(aopc.InputError, match="flags must be truth values"):
        share_reading("a", [1.0, 0.0], bound=0.5)
    with pytest.raises(aopc.InputError, match=r"flags must have one value an image; got shape \(1, 2\)"):
        share_reading("a", [[True, False]], bound=0.5)
    for bound in (-0.1, 1.1, "a"):
        with pytest.raises(aopc.InputError, match="bound must be a number"):
            share_reading("a", [True], bound=bound)  # type: ignore[arg-type]
    with pytest.raises(aopc.InputError, match="unknown side 'abov': did you mean 'above'"):
        mean_reading("a", [1.0, 2.0], seed=0, side="abov")  # type: ignore[arg-type]


def test_p_values_are_from_zero_to_one_and_add_up_to_one_or_more() -> None:
    def made(p_for: float, p_against: float) -> Reading:
        return Reading("a", 0.0, 0.0, 0.0, 0.0, "above", 0.0, p_for, p_against, 2)

    for fine in ((0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.3, 0.7 - 1e-9)):
        made(*fine)
    for wrong in ((-0.1, 1.0), (1.0, -0.1), (1.1, 1.0), (1.0, 1.1), (0.3, 0.6), (np.nan, 1.0), (1.0, np.nan)):
        with pytest.raises(aopc.InputError, match="two one-sided p-values add up to 1 or more; got"):
            made(*wrong)
