"""Incremental inference equals full passes on whole networks, and leaves them as they were."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.models.zoo.small_caffenet import small_caffenet
from both_ways import both, require_incremental
from conftest import images, small_network

pytestmark = pytest.mark.usefixtures("always")


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "densenet121", "googlenet"])
def test_equals_full_passes_on_torchvision_networks(name: str) -> None:
    from torchvision import models

    torch.manual_seed(0)
    weights = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, num_classes=5, **weights).eval()
    x = images(1, 96, 96)
    require_incremental(model, x, 8)
    found, expected = both(model, x, region_size=8, steps=4, repeats=1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=3e-5)


@pytest.mark.parametrize("order", ["morf", "lerf", "random"])
def test_all_steps_to_the_last_and_both_outputs_in_float64(order: str) -> None:
    """Down to the image without an original pixel, cut-off regions included, to 10⁻⁶."""
    model, x = small_network().double(), images(3, 13, 13).double()
    common = dict(region_size=3, steps=25, repeats=2, order=order, orders_per_image=4)
    one = aopc.perturbation_curves(model, x, x.sum(1), **common, batch_size=4)
    other = aopc.perturbation_curves(model, x, x.sum(1), **common, incremental=False)
    np.testing.assert_allclose(one.logits, other.logits, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=2e-6, atol=1e-7)


def test_small_caffenet_with_dropout_active_is_the_same() -> None:
    torch.manual_seed(0)
    model, x = small_caffenet(classes=5, width=8).eval(), images(3, 64, 64)
    require_incremental(model, x)
    found, expected = both(model, x, dropout_seed=3, region_size=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - both(model, x, region_size=4)[0]).max() > 1e-4


def test_dropout_between_maps_is_full_while_active() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 3),
    ).eval()  # fmt: skip
    x = images(2, 20, 20)
    found, expected = both(model, x, dropout_seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_layers_that_are_never_called_do_no_harm() -> None:
    model, x = small_network(), images(2, 13, 13)
    model.spare = nn.Dropout(0.5)
    model.forward = lambda x: nn.Sequential.forward(model[:10], x)
    found, expected = both(model, x, dropout_seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_networks_that_flatten_with_view_are_incremental_too() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.head = (
                nn.Conv2d(3, 4, 3, padding=1),
                nn.MaxPool2d(2),
                nn.Linear(256, 3),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.pool(self.conv(x).relu())
            return self.head(x.view(x.size(0), -1))

    torch.manual_seed(0)
    model, x = Views().eval(), images(2, 16, 16)
    require_incremental(model, x)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_model_is_not_touched() -> None:
    model, x = small_network().train(), images(2, 13, 13)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    names = [(n, id(m)) for n, m in model.named_modules()]
    aopc.perturbation_curves(model, x, x.sum(1), region_size=3, steps=3, repeats=2)
    assert model.training
    assert names == [(n, id(m)) for n, m in model.named_modules()]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
