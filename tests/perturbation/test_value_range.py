"""The values that an image can take."""

import numpy as np
import pytest

import aopc
from aopc.perturbation.value_range import ValueRange


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
