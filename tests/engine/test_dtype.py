"""In what a network computes."""

import numpy as np
import pytest
import torch

import aopc
from aopc.models.zoo.small_caffenet import small_caffenet
from conftest import images


@pytest.mark.usefixtures("always")
def test_bfloat16_is_near_float32_and_tf32_is_it_on_a_cpu() -> None:
    torch.manual_seed(0)
    model, x = small_caffenet(classes=5, width=8).eval(), images(2, 64, 64)
    common = dict(region_size=4, steps=5, repeats=1, targets=[0, 1])
    exact, tf32, rough, full = (
        aopc.perturbation_curves(model, x, x.sum(1), **common, **options).logits
        for options in (
            {},
            {"dtype": "tf32"},
            {"dtype": "bfloat16"},
            {"dtype": "bfloat16", "incremental": False},
        )
    )
    np.testing.assert_array_equal(exact, tf32)
    scale = np.abs(exact).max()
    assert 0 < np.abs(rough - exact).max() < 0.05 * scale
    np.testing.assert_allclose(rough, full, atol=0.02 * scale)
    with pytest.raises(aopc.InputError, match="'arithmetic' is called 'dtype' now"):
        aopc.perturbation_curves(model, x, x.sum(1), **common, arithmetic="tf32")
    with pytest.raises(aopc.InputError, match=r"unknown dtype 'float23'.*did you mean"):
        aopc.perturbation_curves(model, x, x.sum(1), **common, dtype="float23")
