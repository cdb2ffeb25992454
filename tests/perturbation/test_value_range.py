"""The values that an image can take."""

import numpy as np
import pytest

import aopc
from aopc.perturbation.value_range import ValueRange


@pytest.mark.parametrize("ends", [((0.0,), (0.0,)), ((0.0, 1.0), (1.0,)), ((0.0,), (np.inf,))])
def test_impossible_value_ranges_are_said(ends: tuple) -> None:
    with pytest.raises(aopc.InputError, match="one finite low and one higher high"):
        ValueRange(*ends)
