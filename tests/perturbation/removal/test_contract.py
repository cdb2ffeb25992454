"""What a removal is given, and what it may give back."""

import numpy as np
import pytest

import aopc
from aopc.base.random import Stream
from aopc.perturbation.removal import REMOVALS, removal_named
from aopc.perturbation.removal.contract import Imputer, checked
from aopc.perturbation.value_range import Image, ValueRange

RANGE = ValueRange((0.0, 0.0), (1.0, 1.0))
IMAGE = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
REMOVED = np.array([[True, False, False], [False, True, False]])


def test_an_imputer_changes_what_is_removed_and_nothing_else() -> None:
    """Whatever it gives for the rest; and it may write into what it is given."""

    def spoil(image: Image, removed: np.ndarray, values: ValueRange, stream: Stream) -> Image:
        assert values is RANGE
        assert removed.tolist() == REMOVED.tolist()
        image[:] = -image - 100
        removed[:] = False
        return image.astype(np.float64)

    image, removed = IMAGE.copy(), REMOVED.copy()
    found = Imputer(spoil)(image, removed, RANGE, Stream(0, "x"))
    assert found.tolist() == [[[-100, 1, 2], [3, -104, 5]], [[-106, 7, 8], [9, -110, 11]]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(removed, REMOVED)


def test_an_imputers_stream_is_the_one_that_it_is_given() -> None:
    noise = Imputer(lambda image, removed, values, stream: stream.uniform(image.shape))
    found = noise(IMAGE, np.ones((2, 3), bool), RANGE, Stream(0, "x"))
    np.testing.assert_array_equal(found, Stream(0, "x").uniform((2, 2, 3)))


def test_other_shapes_are_refused() -> None:
    grey = Imputer(lambda image, removed, values, stream: image.mean(axis=0))
    with pytest.raises(aopc.InputError, match=r"must return an image of shape \(2, 2, 3\); it returned \(2, 3\)"):
        grey(IMAGE, REMOVED, RANGE, Stream(0, "x"))
    other = np.zeros((2, 2, 3))
    found = checked(other, IMAGE)
    assert found.dtype == np.float32
    assert found is not other
    np.testing.assert_array_equal(found, other)


def test_removals_are_found_by_name_by_path_or_as_they_are() -> None:
    for name, removal in REMOVALS.items():
        assert removal_named(name) is removal
    assert removal_named("aopc.perturbation.removal.fills:mean") is REMOVALS["mean"]
    own = Imputer(lambda image, removed, values, stream: image)
    assert removal_named(own) is own
    with pytest.raises(aopc.InputError, match="did you mean 'blur'"):
        removal_named("blurr")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 2, 2)), r"it returned \(3, 2, 2\)"),
        (np.zeros((3, 2), bool), r"it returned \(3, 2\)"),
        (np.zeros((3, 2), np.uint8), r"it returned \(3, 2\)"),
        (None, "it returned NoneType"),
        ("grey", "it returned str"),
        (np.zeros((2, 2, 3), bool), "real numbers; it returned bool"),
        (np.zeros((2, 2, 3), complex), "real numbers; it returned complex128"),
        (np.full((2, 2, 3), np.nan), "NaN or infinite"),
        (np.full((2, 2, 3), 1e39), "NaN or infinite"),
        (np.full((2, 2, 3), -np.inf), "NaN or infinite"),
    ],
)
def test_what_is_no_image_is_said(given: object, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said) as caught:
        checked(given, IMAGE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64])
def test_real_numbers_of_every_kind_become_float32(dtype: type) -> None:
    found = checked(np.full((2, 2, 3), 3, dtype), IMAGE)
    assert found.dtype == np.float32
    assert (found == 3).all()


def test_only_what_is_removed_must_be_finite() -> None:
    given = np.where(REMOVED, 1.0, np.nan) * np.ones((2, 1, 1))
    assert checked(given, IMAGE, REMOVED)[:, REMOVED].tolist() == [[1, 1], [1, 1]]
    for removed in (~REMOVED, None):
        with pytest.raises(aopc.InputError, match="NaN or infinite"):
            checked(given, IMAGE, removed)


def test_an_imputer_needs_a_function() -> None:
    with pytest.raises(aopc.InputError, match="an imputer needs a function; got 3"):
        Imputer(3)  # type: ignore[arg-type]
