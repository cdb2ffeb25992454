"""AOPC."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import aopc
from aopc.measures.aopc import aopc_curves
from aopc.perturbation.curves import Curves

finite = st.floats(-100, 100, width=32)


def test_aopc_by_hand() -> None:
    """Two images, two repeats, L = 2: the drops are 0 1 3, 0 3 5; and 0 0 2, 0 0 4."""
    curves = np.array([[[5.0, 4, 2], [5, 2, 0]], [[2, 2, 0], [2, 2, -2]]])
    np.testing.assert_allclose(aopc_curves(curves), [[0, 1, 2], [0, 0, 1]])
    assert aopc.aopc(curves) == pytest.approx(1.5)
    assert type(aopc.aopc(curves)) is float


def test_curves_objects_give_either_output() -> None:
    values = np.array([[[3.0, 1.0]]], dtype=np.float32)
    curves = Curves(values, values / 10, np.array([0]), ("a",))
    assert aopc.aopc(curves) == pytest.approx(1.0)
    assert aopc.aopc(curves, "probability") == pytest.approx(0.1)


@given(arrays(np.float64, (3, 2, 6), elements=finite))
def test_aopc_is_the_sum_of_the_equation(curves: np.ndarray) -> None:
    total = sum(curves[i, :, 0].mean() - curves[i, :, k].mean() for i in range(3) for k in range(6))
    assert aopc.aopc(curves) == pytest.approx(total / 6 / 3, abs=1e-9)


def test_wrong_shape_of_curves_is_said() -> None:
    with pytest.raises(aopc.InputError, match="trajectories"):
        aopc.aopc(np.zeros((3, 4)))
    with pytest.raises(aopc.InputError, match="same images and steps"):
        aopc.abpc(np.zeros((1, 1, 3)), np.zeros((1, 1, 4)))


def test_images_without_a_curve_are_left_out() -> None:
    curves = np.array([[[4.0, 2.0]], [[np.nan, np.nan]], [[4.0, 0.0]]])
    assert aopc.aopc(curves) == pytest.approx((1 + 2) / 2)


def test_no_step_is_no_change_and_no_curve_is_refused() -> None:
    assert aopc.aopc([[[3.0]]]) == 0
    for shape in ((1, 1, 0), (2,), (1, 1, 1, 1)):
        with pytest.raises(aopc.InputError, match=r"steps \+ 1"):
            aopc.aopc(np.zeros(shape))


def test_single_precision_is_summed_in_double() -> None:
    """Two hundred thousand drops of 0.1, whose sum in float32 is off by more than 10⁻⁴."""
    curves = np.full((1, 1, 200_001), -0.1, dtype=np.float32)
    curves[0, 0, 0] = 0
    expected = float(np.float32(0.1)) * 200_000 / 200_001
    assert aopc.aopc(curves) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("measure", [aopc.aopc, aopc_curves])
def test_what_is_no_array_of_curves_is_refused(measure: Any) -> None:
    for curves in ([[1.0, 2.0]], np.ones((0, 1, 2)), [[["a"]]]):
        with pytest.raises(
            aopc.InputError, match=r"curves must be numbers of shape \(images, trajectories, steps \+ 1\)"
        ):
            measure(curves)
    with pytest.raises(aopc.InputError, match="unknown output 'logits': did you mean 'logit'"):
        measure(np.ones((1, 1, 2)), "logits")
