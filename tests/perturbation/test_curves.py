"""Curves as they are counted, taken apart and put together."""

import numpy as np
import pytest

import aopc
from aopc.perturbation.curves import Curves


def numbered(images: int, trajectories: int, points: int, first: int = 0) -> Curves:
    """Every value is another; float32."""
    shape = (images, trajectories, points)
    logits = (first + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)
    return Curves(logits, -logits, first + np.arange(images), tuple(f"{first + i}" for i in range(images)))


def test_forwards_by_hand() -> None:
    """Two of three images have curves: each once whole, and three steps on each of two trajectories."""
    curves = numbered(3, 2, 4)
    curves.logits[1] = np.nan
    assert curves.forwards == 2 * (1 + 2 * 3)
    assert numbered(1, 1, 1).forwards == 1


def test_taking_images_takes_all_of_them() -> None:
    curves = numbered(4, 2, 3)
    for rows, expected in ((slice(1, 3), [1, 2]), (np.array([3, 0]), [3, 0]), (slice(2, 3), [2])):
        found = curves.take(rows)
        np.testing.assert_array_equal(found.logits, curves.logits[expected])
        np.testing.assert_array_equal(found.probabilities, curves.probabilities[expected])
        assert found.targets.tolist() == expected
        assert found.image_ids == tuple(map(str, expected))


def test_averaging_is_over_trajectories_in_double() -> None:
    curves = numbered(2, 2, 2)
    curves.logits[0, :, 1] = [2.0**24, 1.0]
    found = curves.averaged()
    assert found.logits.dtype == found.probabilities.dtype == np.float64
    assert found.logits.tolist() == [[[1.0, (2**24 + 1) / 2]], [[5.0, 6.0]]]
    assert found.probabilities.tolist() == [[[-1.0, -2.0]], [[-5.0, -6.0]]]
    assert (found.targets.tolist(), found.image_ids) == ([0, 1], ("0", "1"))


def test_images_follow_each_other_and_trajectories_lie_side_by_side() -> None:
    first, second = numbered(2, 1, 2), numbered(1, 1, 2, first=7)
    images = Curves.of_images([first, second])
    assert images.logits.tolist() == [[[0, 1]], [[2, 3]], [[7, 8]]]
    assert images.probabilities.tolist() == [[[0, -1]], [[-2, -3]], [[-7, -8]]]
    assert (images.targets.tolist(), images.image_ids) == ([0, 1, 7], ("0", "1", "7"))
    further = numbered(2, 2, 2, first=10)
    beside = Curves.of_trajectories([first, further])
    assert beside.logits.tolist() == [[[0, 1], [10, 11], [12, 13]], [[2, 3], [14, 15], [16, 17]]]
    assert (beside.probabilities == -beside.logits).all()
    assert (beside.targets.tolist(), beside.image_ids) == ([0, 1], ("0", "1"))


@pytest.mark.parametrize(
    ("logits", "probabilities", "targets", "names"),
    [
        ((2, 3), (2, 3), (2,), 2),
        ((2, 1, 3, 1), (2, 1, 3, 1), (2,), 2),
        ((2, 1, 3), (2, 1, 4), (2,), 2),
        ((2, 1, 3), (2, 1, 3), (3,), 2),
        ((2, 1, 3), (2, 1, 3), (2, 1), 2),
        ((2, 1, 3), (2, 1, 3), (2,), 1),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_their_shapes(
    logits: tuple[int, ...], probabilities: tuple[int, ...], targets: tuple[int, ...], names: int
) -> None:
    with pytest.raises(aopc.InputError, match="curves are two arrays") as caught:
        Curves(np.zeros(logits), np.zeros(probabilities), np.zeros(targets, int), ("a",) * names)
    for said in (str(logits), str(probabilities), str(targets), f"{names} names"):
        assert said in str(caught.value)


def test_what_is_no_array_is_refused() -> None:
    values, targets = np.zeros((1, 1, 2)), np.zeros(1, int)
    for arguments in (
        (values.tolist(), values, targets, ("a",)),
        (values, None, targets, ("a",)),
        (values, values, [0], ("a",)),
        (values, values, targets, "a"),
        (values, values, targets, None),
    ):
        with pytest.raises(aopc.InputError, match="curves are two arrays"):
            Curves(*arguments)  # type: ignore[arg-type]
    assert Curves(values, values, targets, ["a"]).image_ids == ["a"]  # type: ignore[arg-type, comparison-overlap]
