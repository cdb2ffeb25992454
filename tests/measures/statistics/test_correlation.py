"""Rank correlation, with its interval."""

import numpy as np
import pytest
from scipy.stats import spearmanr

import aopc
from aopc.base.errors import InputError
from aopc.measures.statistics.bootstrap import resampled_means
from aopc.measures.statistics.correlation import permutation_p, rank_correlation


def test_rank_correlation_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 9)), rng.normal(size=(30, 9)).round(1)
    found = rank_correlation(a, b)
    assert found.rho == pytest.approx(spearmanr(a.mean(0), b.mean(0)).statistic)
    assert found.low <= found.rho <= found.high
    assert found.points == 9


def test_the_interval_of_a_rank_correlation_covers() -> None:
    """Noisy means of two rising curves with a swapped pair: ρ of the true means lies within."""
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 1.0, 2.5, 2.0, 4.0])
    other = np.arange(5.0)
    expected = rank_correlation(np.array([truth, truth]), np.array([other, other])).rho
    covered = 0
    for seed in range(60):
        a = truth + rng.normal(scale=2.0, size=(100, 5))
        b = other + rng.normal(scale=2.0, size=(100, 5))
        found = rank_correlation(a, b, seed=seed, resamples=300)
        covered += found.low <= expected <= found.high
    assert covered >= 51  # at 95 %, fewer than 51 of 60 has probability 0.0003


def test_rank_correlation_needs_three_points() -> None:
    with pytest.raises(InputError, match="3 points or more"):
        rank_correlation([[1.0, 2.0]], [[1.0, 2.0]])


def test_permutations_of_checkpoints() -> None:
    """Of four points in perfect order 1 of 24 orders is as good; of ten, none of the random ones."""
    rising = np.arange(4.0)
    assert permutation_p(rising, rising) == (1 / 24, 1.0)
    assert permutation_p(-rising, rising) == (1.0, 1 / 24)
    many = np.arange(10.0)
    assert permutation_p(many, many)[0] == pytest.approx(1 / 10_001)
    assert permutation_p(many, many, seed=1) == permutation_p(many, many, seed=1)


def test_paired_rank_correlation_resamples_images_together() -> None:
    """Two measures that are the same image by image agree in every resample."""
    values = np.random.default_rng(0).standard_normal((30, 5))
    together = rank_correlation(values, values * 2 + 1, paired=True)
    apart = rank_correlation(values, values * 2 + 1)
    assert (together.low, together.rho, together.high) == (1.0, 1.0, 1.0)
    assert apart.low < 1
    broken = values.copy()
    broken[0] = np.nan
    assert rank_correlation(values, broken, paired=True).rho == pytest.approx(1.0)
    with pytest.raises(aopc.InputError, match="same images"):
        rank_correlation(values, values[:10], paired=True)


def test_what_does_not_vary_has_no_correlation() -> None:
    assert permutation_p([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (1.0, 1.0)
    varying = np.arange(12.0).reshape(4, 3)
    for constant in (np.ones((4, 3)), 0.1 + 1e-17 * varying, np.zeros((4, 3))):
        found = rank_correlation(constant, varying)
        assert np.isnan([found.rho, found.low, found.high, found.not_positive, found.not_negative]).all()
    # 0.1 + 0.2 is not 0.3, and no order of the two.
    assert permutation_p([0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 3.0]) == (1.0, 1.0)


def test_of_one_image_no_interval_is_known() -> None:
    rising, many = np.arange(5.0)[None], np.arange(5.0) + np.random.default_rng(0).standard_normal((20, 5))
    for first, second in ((rising, many), (many, rising), (rising, rising)):
        found = rank_correlation(first, second)
        assert found.rho > 0.5
        assert np.isnan([found.low, found.high, found.not_positive, found.not_negative]).all()


def test_a_resample_without_correlation_is_no_evidence() -> None:
    """Of two images, one right at no checkpoint: a quarter of the resamples have no accuracy that varies."""
    right = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 1.0]])
    found = rank_correlation(np.arange(3.0) + np.zeros((4, 1)), right)
    assert found.rho == pytest.approx(1)
    assert 0.2 < found.not_positive < 0.3
    assert found.not_negative == 1


@pytest.mark.parametrize(
    ("second", "rho", "not_positive", "not_negative"),
    [([2.0, 5.0, 9.0], 1.0, 0.0, 1.0), ([9.0, 5.0, 2.0], -1.0, 1.0, 0.0), ([1.0, 2.0, 1.0], 0.0, 1.0, 1.0)],
)
def test_images_that_are_all_alike_leave_no_doubt(
    second: list[float], rho: float, not_positive: float, not_negative: float
) -> None:
    """Every resample has the same ρ; one of 0 is neither positive nor negative."""
    found = rank_correlation([[1.0, 2.0, 3.0]] * 5, [second] * 4)
    assert (found.low, found.rho, found.high) == pytest.approx((rho, rho, rho))
    assert (found.not_positive, found.not_negative) == (not_positive, not_negative)
    assert (found.points, found.images) == (3, 5)


def test_the_two_sides_are_resampled_apart_under_the_seed_and_the_next() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(12, 9)) + np.arange(9) / 9, rng.normal(size=(9, 9)) + np.arange(9) / 9
    found = rank_correlation(a, b, seed=4, resamples=300)
    resampled = [
        spearmanr(x, y).statistic for x, y in zip(resampled_means(a, 300, 4), resampled_means(b, 300, 5), strict=True)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))
    assert found.not_positive == np.mean(np.array(resampled) <= 0)
    together = rank_correlation(a[:9], b, seed=4, resamples=300, paired=True)
    resampled = [
        spearmanr(x, y).statistic
        for x, y in zip(resampled_means(a[:9], 300, 4), resampled_means(b, 300, 4), strict=True)
    ]
    assert (together.low, together.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))
    default = rank_correlation(a, b)
    assert default == rank_correlation(a, b, seed=0, resamples=10_000, paired=False)
    assert default != rank_correlation(a, b, seed=1)


def test_images_without_a_value_are_left_out_of_their_side() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(8, 4)), rng.normal(size=(6, 4))
    broken = np.insert(a, 3, [1.0, np.nan, 2.0, 3.0], axis=0)
    assert rank_correlation(broken, b) == rank_correlation(a, b)
    assert rank_correlation(b, broken).images == 6
    a, b = a[:6].copy(), b.copy()
    a[0, 1], b[2, 3] = np.nan, np.inf
    paired = rank_correlation(a, b, paired=True)
    kept = [1, 3, 4, 5]
    assert paired == rank_correlation(a[kept], b[kept], paired=True)
    assert paired.images == 4


@pytest.mark.parametrize(("first", "second"), [((0, 3), (4, 3)), ((4, 3), (0, 3))])
def test_without_images_there_is_no_correlation(first: tuple[int, int], second: tuple[int, int]) -> None:
    found = rank_correlation(np.ones(first), np.ones(second))
    numbers = (found.rho, found.low, found.high, found.not_positive, found.not_negative)
    assert np.isnan(numbers).all()
    assert (found.points, found.images) == (3, 0)


def test_measures_that_do_not_vary_have_no_interval() -> None:
    rising, flat = [[1.0, 2.0, 3.0]] * 4, np.ones((5, 3))
    for found in (rank_correlation(rising, flat), rank_correlation(flat[:4], rising)):
        assert np.isnan((found.rho, found.low, found.high, found.not_positive, found.not_negative)).all()
        assert (found.points, found.images) == (3, 4)


@pytest.mark.parametrize(("first", "second"), [((2, 3), (2, 4)), ((3,), (2, 3)), ((2, 3), (3,)), ((2, 2), (2, 2))])
def test_shapes_that_do_not_agree_are_said(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="two arrays"):
        rank_correlation(np.ones(first), np.ones(second))


def test_permutations_with_ties_by_hand() -> None:
    """1 1 2 has three different orders, with ρ = √3/2, 0 and −√3/2 against 1 2 3."""
    assert permutation_p([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx((1 / 3, 1.0))
    assert permutation_p([1.0, 2.0, 1.0], [1.0, 2.0, 3.0]) == pytest.approx((2 / 3, 2 / 3))


def test_all_orders_are_tried_where_they_are_few() -> None:
    """7! = 5040 of them; of 8! = 40320, ten thousand random ones and the found one."""
    assert permutation_p(np.arange(7.0), np.arange(7.0))[0] == 1 / 5040
    values = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 8.0, 6.0, 7.0])
    found = permutation_p(np.arange(8.0), values)
    assert found == permutation_p(np.arange(8.0), values, seed=0)
    assert found != permutation_p(np.arange(8.0), values, seed=1)
    counts = np.array(found) * 10_001
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
    # ρ = 1 − 6 · 10 / 504 = 0.881, the critical value for 0.005 in the tables (Zar 1972).
    assert 0.002 < found[0] < 0.006


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([[1.0, 2.0]], [1.0, 2.0], r"values must be numbers of shape \(points\); got float64 of shape \(1, 2\)"),
        ([1.0, 2.0], [[1.0], [2.0]], r"values must be numbers of shape \(points\); got float64 of shape \(2, 1\)"),
        ([], [1.0], r"values must be numbers of shape \(points\)"),
        (["a", "b"], [1.0, 2.0], "values must be numbers"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "as many of each: got 3 first, 2 second"),
    ],
)
def test_points_that_make_no_pairs_are_refused(first: list, second: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        permutation_p(first, second)


def test_what_is_no_array_of_images_and_points_is_refused() -> None:
    with pytest.raises(InputError, match="values must be numbers"):
        rank_correlation([["a", "b", "c"]], [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match=r"two arrays .* got \(3,\) and \(1, 3\)"):
        rank_correlation([1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match=r"two arrays .* got \(1, 3\) and \(1, 4\)"):
        rank_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0, 4.0]])


def test_constant_points_have_no_order_and_give_no_warning() -> None:
    with np.errstate(all="raise"):
        assert permutation_p([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (1.0, 1.0)
        assert np.isnan(rank_correlation([[1.0, 1.0, 1.0]] * 2, [[1.0, 2.0, 3.0]] * 2).rho)


def test_values_that_differ_by_rounding_are_ties_and_others_are_not() -> None:
    """The unit is 10⁻¹² of the largest, which counts for numbers of any size."""
    rising = [[1.0, 2.0, 3.0]] * 2
    for scale in (1e-9, 1.0, 1e9):
        tied, apart = ([[scale, scale * (1 + step), 2 * scale]] * 2 for step in (1e-14, 1e-10))
        assert rank_correlation(rising, tied).rho == pytest.approx(np.sqrt(0.75))
        assert rank_correlation(rising, apart).rho == 1
