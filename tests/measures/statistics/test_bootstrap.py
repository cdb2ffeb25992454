"""Intervals by resampling images."""

import numpy as np
import pytest

from aopc.measures.statistics.bootstrap import bootstrap_mean


def test_bootstrap_agrees_with_normal_theory() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=400)
    mean, low, high = bootstrap_mean(values).numbers
    error = values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)


def test_bootstrap_interval_covers_as_often_as_it_says() -> None:
    """95 % nominal; 200 samples of 60 exponential values, whose percentile interval is a bit short."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_mean(rng.exponential(size=60), seed=trial, resamples=1000).numbers[1:]
        hits += low <= 1 <= high
    assert 0.89 <= hits / 200 <= 0.985


def test_bootstrap_is_seeded_and_leaves_nan_out() -> None:
    values = np.random.default_rng(0).normal(size=(30, 4))
    a, b = bootstrap_mean(values, seed=3), bootstrap_mean(values, seed=3)
    np.testing.assert_array_equal(a.low, b.low)
    assert (a.low != bootstrap_mean(values, seed=4).low).any()
    holed = np.concatenate([values, np.full((5, 4), np.nan)])
    np.testing.assert_array_equal(bootstrap_mean(holed, seed=3).high, a.high)
    assert bootstrap_mean(holed).images == 30
    assert np.isnan(bootstrap_mean([np.nan]).numbers).all()
    mean, low, high = bootstrap_mean([3.0]).numbers
    assert mean == 3
    assert np.isnan([low, high]).all()
