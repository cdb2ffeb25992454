"""Rank correlation, with its interval."""

import numpy as np
import pytest

from aopc.base.errors import InputError
from aopc.measures.statistics.correlation import rank_correlation


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
