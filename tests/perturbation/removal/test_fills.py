"""Fills: the distributions that they draw from."""

import numpy as np
import pytest

from aopc.base.random import Stream
from aopc.perturbation.removal import REMOVALS
from aopc.perturbation.value_range import ValueRange

RANGE = ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))


def test_dirichlet_colours_are_uniform_on_the_simplex() -> None:
    values = ValueRange((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    noise = REMOVALS["dirichlet"](np.zeros((3, 100, 100), np.float32), values, Stream(0, "x"))
    assert (noise >= 0).all()
    assert (noise.sum(axis=0) <= 1 + 1e-6).all()
    # Each component is Beta(1, 3): mean 1/4, variance 3/80.
    np.testing.assert_allclose(noise.mean(axis=(1, 2)), 0.25, atol=5 * np.sqrt(3 / 80 / 1e4))


def test_uniform_noise_spans_the_range_of_each_channel() -> None:
    noise = REMOVALS["uniform"](np.zeros((3, 80, 80), np.float32), RANGE, Stream(0, "x"))
    for channel, low, high in zip(noise, RANGE.low, RANGE.high, strict=True):
        assert low <= channel.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < channel.max() <= high
        error = (high - low) * np.sqrt(1 / 12 / 6400)
        assert channel.mean() == pytest.approx((low + high) / 2, abs=5 * error)
