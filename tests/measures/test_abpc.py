"""ABPC."""

import numpy as np
import pytest

import aopc


def test_abpc_by_hand() -> None:
    lerf = np.array([[[5.0, 5, 4]]])
    morf = np.array([[[5.0, 3, 0], [5, 1, 0]]])
    assert aopc.abpc(lerf, morf) == pytest.approx((0 + 3 + 4) / 3)
