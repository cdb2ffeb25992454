"""ABPC."""

import numpy as np
import pytest

import aopc
from aopc.measures.abpc import abpc_per_image
from aopc.perturbation.curves import Curves


def test_abpc_by_hand() -> None:
    lerf = np.array([[[5.0, 5, 4]]])
    morf = np.array([[[5.0, 3, 0], [5, 1, 0]]])
    assert aopc.abpc(lerf, morf) == pytest.approx((0 + 3 + 4) / 3)


def test_abpc_is_of_each_image_and_leaves_nan_out() -> None:
    """Differences 0 1 2 and 0 3 6; and an image without a curve."""
    lerf = np.array([[[4.0, 4, 4]], [[9, 9, 9]], [[7, 7, 7]]])
    morf = np.array([[[4.0, 3, 2]], [[9, 6, 3]], [[np.nan] * 3]])
    np.testing.assert_allclose(abpc_per_image(lerf, morf), [1.0, 3.0, np.nan])
    assert aopc.abpc(lerf, morf) == pytest.approx(2.0)
    assert aopc.abpc(morf, lerf) == pytest.approx(-2.0)


def test_abpc_is_of_either_output() -> None:
    def curves(*values: float) -> Curves:
        logits = np.array([[values]], dtype=np.float32)
        return Curves(logits, logits / 8, np.array([0]), ("a",))

    lerf, morf = curves(4.0, 4.0), curves(4.0, 2.0)
    assert aopc.abpc(lerf, morf) == 1.0
    assert aopc.abpc(lerf, morf, "probability") == 0.125


@pytest.mark.parametrize("shape", [(1, 1, 4), (2, 1, 3)])
def test_curves_of_other_images_or_steps_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(aopc.InputError, match="same images and steps"):
        aopc.abpc(np.zeros((1, 1, 3)), np.zeros(shape))
