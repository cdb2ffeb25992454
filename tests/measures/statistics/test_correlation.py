"""Rank correlation, with its interval."""

import numpy as np
import pytest

import aopc
from aopc.base.errors import InputError
from aopc.measures.statistics.correlation import permutation_p, rank_correlation


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

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
