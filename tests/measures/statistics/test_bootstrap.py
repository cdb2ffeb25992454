"""Intervals by resampling images."""

import numpy as np
import pytest

import aopc
from aopc.measures.statistics import bootstrap
from aopc.measures.statistics.bootstrap import Interval, bootstrap_mean, percentile_interval, resampled_means


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


@pytest.mark.parametrize(("images", "resamples"), [(3, 1), (7, 600), (256, 300)])
def test_a_resample_holds_as_many_images_as_there_are(images: int, resamples: int) -> None:
    """The mean of e_i over a resample is the share of image i: a multiple of 1/N, and all shares add up to 1."""
    shares = resampled_means(np.eye(images), resamples, 5)
    assert shares.shape == (resamples, images)
    counts = shares * images
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.min() >= 0


def test_resamples_are_independent_draws_with_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are binomial, N draws of 1/N: mean 1, variance 1 − 1/N, no correlation from one resample to the next; and
    so they are where resamples come in several parts.
    """
    images, resamples = 8, 6000
    for cells in (bootstrap._CELLS_AT_ONCE, 1000 * images):
        monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", cells)
        counts = resampled_means(np.eye(images), resamples, 1) * images
        assert counts.shape == (resamples, images)
        error = np.sqrt((1 - 1 / images) / resamples)
        np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 * error)
        np.testing.assert_allclose(counts.var(axis=0), 1 - 1 / images, rtol=0.12)
        for lag in (1, 256, 1000):
            together = (counts[lag:] - 1) * (counts[:-lag] - 1)
            np.testing.assert_allclose(together.mean(axis=0), 0, atol=5 * error)
            assert (counts[lag:] == counts[:-lag]).all(axis=1).mean() < 0.05


def test_resampled_means_are_those_of_the_images_drawn() -> None:
    """Measures of the same images are resampled alike, and the mean of a column is that of its values."""
    values = np.random.default_rng(2).normal(size=(9, 3))
    drawn = resampled_means(np.eye(9), 400, 3)
    np.testing.assert_allclose(resampled_means(values, 400, 3), drawn @ values)


def test_the_interval_holds_95_percent_of_the_resamples() -> None:
    np.testing.assert_allclose(percentile_interval(np.arange(1001.0)), [25, 975])
    both = percentile_interval(np.stack([np.arange(1001.0), -np.arange(1001.0)], axis=1))
    np.testing.assert_allclose(both, [[25, -975], [975, -25]])


def test_two_images_have_an_interval() -> None:
    """A quarter of the resamples is each one twice."""
    assert bootstrap_mean([1.0, 3.0]).numbers == (2.0, 1.0, 3.0)
    found = bootstrap_mean([1.0, 3.0, np.inf])
    assert (found.numbers, found.images) == ((2.0, 1.0, 3.0), 2)


def test_measures_keep_their_shape() -> None:
    values = np.random.default_rng(0).normal(size=(20, 2, 3))
    found = bootstrap_mean(values, seed=2)
    assert found.mean.shape == found.low.shape == found.high.shape == (2, 3)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))
    alone = bootstrap_mean(values[:, 1, 2], seed=2)
    assert alone.numbers == pytest.approx((found.mean[1, 2], found.low[1, 2], found.high[1, 2]))
    none = bootstrap_mean(np.full((4, 2, 3), np.nan))
    assert none.mean.shape == none.low.shape == none.high.shape == (2, 3)
    assert none.images == 0


def test_the_default_is_seed_0_and_ten_thousand_resamples() -> None:
    values = np.random.default_rng(0).normal(size=12)
    assert bootstrap_mean(values).numbers == bootstrap_mean(values, seed=0, resamples=10_000).numbers
    assert bootstrap_mean(values).numbers != bootstrap_mean(values, seed=1, resamples=10_000).numbers
    assert bootstrap_mean(values).numbers != bootstrap_mean(values, seed=0, resamples=9_999).numbers


def test_single_precision_is_averaged_in_double() -> None:
    values = np.array([2.0**24, 1.0, 1.0, 1.0], dtype=np.float32)
    assert bootstrap_mean(values).numbers == bootstrap_mean(values.astype(np.float64)).numbers
    assert bootstrap_mean(values).numbers[0] == (2**24 + 3) / 4


def test_the_numbers_are_mean_low_and_high() -> None:
    assert Interval(np.array(2.0), np.array(1.0), np.array(4.0), 9).numbers == (2.0, 1.0, 4.0)


def test_what_is_no_array_of_values_is_refused() -> None:
    for values, said in ((["a"], "values must be numbers"), (3.0, "one value or curve an image; got 3")):
        with pytest.raises(aopc.InputError, match=said):
            bootstrap_mean(values)
    for settings, said in (
        ({"seed": 1.5}, "seed must be an integer"),
        ({"resamples": 0}, "resamples must be at least 1"),
        ({"resamples": 2.5}, "resamples must be an integer"),
    ):
        with pytest.raises(aopc.InputError, match=said):
            bootstrap_mean([1.0, 2.0], **settings)
    with pytest.raises(aopc.InputError, match="2147483647 resamples"):
        bootstrap_mean(np.zeros((2, 10**6)), resamples=2**31 - 1)
    assert bootstrap_mean([1.0, 2.0], resamples=1).images == 2
