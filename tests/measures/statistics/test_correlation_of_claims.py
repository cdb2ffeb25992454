"""Rank correlations as the claims take them: over checkpoints, and image by image."""

import numpy as np
import pytest

import aopc
from aopc.measures.statistics.correlation import permutation_p, rank_correlation


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
