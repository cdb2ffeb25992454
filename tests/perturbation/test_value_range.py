"""The values that an image can take."""

import numpy as np
import pytest
import torch

import aopc
from aopc.models.network import Network
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.perturbation.value_range import ValueRange
from conftest import images, small_network


@pytest.mark.parametrize("ends", [((0.0,), (0.0,)), ((0.0, 1.0), (1.0,)), ((0.0,), (np.inf,))])
def test_impossible_value_ranges_are_said(ends: tuple) -> None:
    with pytest.raises(aopc.InputError, match="one finite low and one higher high"):
        ValueRange(*ends)


@pytest.mark.parametrize(
    "ends", [((0.0, 0.0), (1.0, 0.0)), ((2.0,), (1.0,)), ((np.nan,), (1.0,)), ((-np.inf,), (1.0,))]
)
def test_every_channel_needs_a_range(ends: tuple) -> None:
    with pytest.raises(aopc.InputError, match="one finite low and one higher high"):
        ValueRange(*ends)


def test_fractions_of_the_range_by_hand() -> None:
    values = ValueRange((-1.0, 10.0), (1.0, 14.0))
    found = values.scale(np.array([[[0.0, 0.5, 1.0]], [[0.0, 0.25, 1.0]]]))
    assert found.tolist() == [[[-1.0, 0.0, 1.0]], [[10.0, 11.0, 14.0]]]
    assert found.dtype == np.float32


def curves(x: torch.Tensor, model: object = None, **options: object) -> np.ndarray:
    ids = list("abcd")[: len(x)]
    common = dict(region_size=3, steps=9, repeats=2, image_ids=ids) | options
    return aopc.perturbation_curves(model or small_network(), x, x.sum(1), [0] * len(x), **common).logits


@pytest.mark.parametrize("removal", ["uniform", "dirichlet", "mean", "blur"])
def test_curves_of_an_image_do_not_depend_on_its_company(removal: str) -> None:
    x = images(4, 13, 13)
    x[2:] *= 3
    whole = curves(x, removal=removal)
    np.testing.assert_allclose(curves(x[:2], removal=removal), whole[:2], rtol=1e-5, atol=1e-6)


def test_without_one_it_is_the_images_own() -> None:
    x = images(1, 13, 13)
    x[0, 1] = -4.0
    low, high = x.amin((0, 2, 3)), x.amax((0, 2, 3))
    high[1] = 0.0
    given = ValueRange(tuple(low.tolist()), tuple(high.tolist()))
    np.testing.assert_array_equal(curves(x), curves(x, value_range=given))


def test_it_comes_from_the_network_or_by_name_or_as_a_pair() -> None:
    x, imagenet = images(2, 13, 13), PREPROCESSINGS["imagenet"]
    expected = curves(x, value_range=imagenet.value_range)
    np.testing.assert_array_equal(curves(x, value_range="imagenet"), expected)
    np.testing.assert_array_equal(curves(x, Network(small_network(), imagenet)), expected)
    np.testing.assert_array_equal(curves(x, value_range=(0, 1)), curves(x, value_range=ValueRange((0,) * 3, (1,) * 3)))
    assert np.abs(expected - curves(x)).max() > 1e-4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("imagenett", "unknown preprocessing of value_range 'imagenett': did you mean 'imagenet'"),
        ((0, 1, 2), r"value_range must be .* got \(0, 1, 2\)"),
        (3, "value_range must be"),
        (((0, 0), (1, 1)), "value_range has 2 channels, but the images have 3"),
        ((1, 0), "low below high"),
    ],
)
def test_what_is_no_range_is_said(given: object, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said) as caught:
        curves(images(1, 13, 13), value_range=given)
    assert "\n" not in str(caught.value)


def test_a_range_of_arrays_is_its_own() -> None:
    """It can be hashed and compared, and what becomes of the user's arrays does not change it."""
    low, high = np.array([0, -1]), np.array([1.0, 2.0], np.float32)
    values = ValueRange(low, high)  # type: ignore[arg-type]
    low[:] = high[:] = 7
    assert values == ValueRange((0.0, -1.0), (1.0, 2.0))
    assert (values.low, values.high) == ((0.0, -1.0), (1.0, 2.0))
    assert all(type(bound) is float for bound in values.low + values.high)
    assert len({values, ValueRange((0.0, -1.0), (1.0, 2.0))}) == 1


def test_the_range_of_an_image_is_from_its_least_to_its_largest_by_channel() -> None:
    """A channel of one value gets a range as wide as the value, or 1: above it."""
    image = np.array([[[1.0, 3.0]], [[-2.0, -2.0]], [[0.5, 0.5]], [[-1.0, 4.0]]], np.float32)
    values = ValueRange.of_image(image)
    assert values == ValueRange((1.0, -2.0, 0.5, -1.0), (3.0, 0.0, 1.5, 4.0))


def test_one_channel_stands_for_all() -> None:
    one = ValueRange((0.0,), (2.0,))
    assert one.for_channels(3) == ValueRange((0.0,) * 3, (2.0,) * 3)
    assert one.for_channels(1) == one
    three = ValueRange((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))
    assert three.for_channels(3) == three
    for channels in (1, 2, 6):
        with pytest.raises(aopc.InputError, match=f"value_range has 3 channels, but the images have {channels}"):
            three.for_channels(channels)
