"""Fills: the distributions that they draw from, and the filters that they are."""

import numpy as np
import pytest

from aopc.base.random import Stream
from aopc.perturbation.removal import FILLS, REMOVALS, fills
from aopc.perturbation.value_range import ValueRange

RANGE = ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))


def drawn(name: str, image: np.ndarray, key: str = "x") -> np.ndarray:
    return REMOVALS[name](image.astype(np.float32), RANGE, Stream(0, key))  # type: ignore[operator]


def test_dirichlet_colours_are_uniform_on_the_simplex() -> None:
    values = ValueRange((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    noise = REMOVALS["dirichlet"](np.zeros((3, 100, 100), np.float32), values, Stream(0, "x"))
    assert (noise >= 0).all()
    assert (noise.sum(axis=0) <= 1 + 1e-6).all()
    # Each component is Beta(1, 3): mean 1/4, variance 3/80; two of them have covariance −1/80.
    np.testing.assert_allclose(noise.mean(axis=(1, 2)), 0.25, atol=5 * np.sqrt(3 / 80 / 1e4))
    covariance = np.cov(noise.reshape(3, -1))
    np.testing.assert_allclose(covariance, np.eye(3) / 20 - 1 / 80, atol=0.002)
    # P(v ≤ t) = 1 − (1 − t)³
    for t in (0.1, 0.5):
        assert (noise <= t).mean() == pytest.approx(1 - (1 - t) ** 3, abs=0.015)


def test_dirichlet_colours_are_fractions_of_each_channels_range() -> None:
    noise = drawn("dirichlet", np.zeros((3, 80, 80)))
    for channel, low, high in zip(noise, RANGE.low, RANGE.high, strict=True):
        assert channel.min() >= low
        error = (high - low) * np.sqrt(3 / 80 / 6400)
        assert channel.mean() == pytest.approx(low + 0.25 * (high - low), abs=5 * error)
    one = REMOVALS["dirichlet"](np.zeros((1, 80, 80), np.float32), ValueRange((0.0,), (1.0,)), Stream(0, "x"))
    # One channel of two components: uniform.
    assert one.var() == pytest.approx(1 / 12, rel=0.1)


def test_uniform_noise_spans_the_range_of_each_channel() -> None:
    noise = REMOVALS["uniform"](np.zeros((3, 80, 80), np.float32), RANGE, Stream(0, "x"))
    for channel, low, high in zip(noise, RANGE.low, RANGE.high, strict=True):
        assert low <= channel.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < channel.max() <= high
        error = (high - low) * np.sqrt(1 / 12 / 6400)
        assert channel.mean() == pytest.approx((low + high) / 2, abs=5 * error)
        assert channel.var() == pytest.approx((high - low) ** 2 / 12, rel=0.05)
    fractions = (noise - np.reshape(RANGE.low, (3, 1, 1))) / np.reshape(np.subtract(RANGE.high, RANGE.low), (3, 1, 1))
    np.testing.assert_allclose(np.corrcoef(fractions.reshape(3, -1)), np.eye(3), atol=5 / 80)


def test_the_mean_is_the_images_own_colour_channel_by_channel() -> None:
    image = np.array([[[1.0, 2.0, 6.0], [1.0, 0.0, 2.0]], [[-9.0, 3.0, 0.0], [0.0, 0.0, 0.0]]])
    found = drawn("mean", image)
    np.testing.assert_array_equal(found, np.broadcast_to([[[2.0]], [[-1.0]]], (2, 2, 3)))
    assert found.dtype == np.float32
    assert found.flags.writeable
    # Summed in double: 2²⁴ and one have no sum in float32.
    assert drawn("mean", np.array([[[2.0**24, 1.0, 1.0, 1.0]]]))[0, 0, 0] == np.float32((2**24 + 3) / 4)


def gaussian(image: np.ndarray, sigma: float = 3.0) -> np.ndarray:
    """Each channel by itself, along the columns and then the rows, out to four σ, with the border's value outside."""
    reach = round(4 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (1, 2):
        around = [(0, 0)] * 3
        around[axis] = (reach, reach)
        padded = np.pad(image, around, mode="edge")
        image = sum(w * padded.take(range(i, i + image.shape[axis]), axis=axis) for i, w in enumerate(weights))
    return image


@pytest.mark.parametrize("shape", [(3, 20, 31), (1, 5, 40), (4, 31, 7)])
def test_blurring_is_a_gaussian_of_three_pixels_in_each_channel(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = drawn("blur", image)
    np.testing.assert_allclose(found, gaussian(image.astype(np.float64)), atol=1e-6)
    assert found.dtype == np.float32


def test_blurring_mixes_no_channels_and_keeps_what_is_even() -> None:
    image = np.zeros((3, 25, 25), np.float32)
    image[1, 12, 12] = 1
    found = drawn("blur", image)
    assert (found[[0, 2]] == 0).all()
    # σ = 3: at three pixels it has fallen to e^(−1/2), along rows as along columns.
    centre = found[1, 12, 12]
    assert found[1, 12, 15] / centre == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert found[1, 9, 12] / centre == pytest.approx(np.exp(-0.5), rel=1e-5)
    flat = np.broadcast_to(np.array([1.0, -2.0, 5.0], np.float32)[:, None, None], (3, 9, 9))
    np.testing.assert_allclose(drawn("blur", flat), flat, rtol=1e-6)


def test_fills_are_called_by_their_names() -> None:
    assert {name: fill.__name__ for name, fill in FILLS.items()} == {
        n: n for n in ("uniform", "dirichlet", "mean", "blur")
    }
    assert all(FILLS[name] is getattr(fills, name) for name in FILLS)
    assert dict(REMOVALS) == REMOVALS | FILLS


@pytest.mark.parametrize("name", ["uniform", "dirichlet"])
def test_noise_is_its_streams(name: str) -> None:
    image = np.zeros((3, 4, 5))
    np.testing.assert_array_equal(drawn(name, image), drawn(name, image + 7))
    assert (drawn(name, image) != drawn(name, image, "y")).any()
