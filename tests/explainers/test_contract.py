"""What every explainer keeps to."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.registry import EXPLAINERS
from conftest import images, small_network


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_explainers_keep_the_contract(name: str) -> None:
    model, x = small_network().train(), images(5, 13, 13)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    whole = aopc.heatmaps(model, x, name)
    parts = aopc.heatmaps(model, x, name, batch_size=2)
    assert whole.shape == (5, 13, 13)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, parts, atol=1e-5 * np.abs(whole).max())
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_in_place_relu_changes_nothing() -> None:
    model, x = small_network(), images(2, 13, 13)
    expected = {name: aopc.heatmaps(model, x, name) for name in EXPLAINERS}
    for layer in model:
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    for name, maps in expected.items():
        np.testing.assert_allclose(aopc.heatmaps(model, x, name), maps, atol=1e-6)


def test_wrong_shape_of_a_users_explainer_is_said(network: nn.Sequential) -> None:
    with pytest.raises(aopc.InputError, match=r"must return heatmaps of shape \(2, 13, 13\)"):
        aopc.heatmaps(network, images(2, 13, 13), lambda model, batch, targets: batch)


def test_nonfinite_heatmaps_name_the_image_or_become_nan(network: nn.Sequential) -> None:
    def broken(model: nn.Module, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        result = batch.sum(1)
        result[0, 3, 4] = float("inf")
        return result

    with pytest.raises(aopc.InputError, match=r"image cat\.png"):
        aopc.heatmaps(network, images(2, 13, 13), broken, image_ids=["cat.png", "dog.png"])
    maps = aopc.heatmaps(network, images(2, 13, 13), broken, allow_nonfinite=True)
    assert np.isnan(maps[0]).all()
    assert np.isfinite(maps[1]).all()
