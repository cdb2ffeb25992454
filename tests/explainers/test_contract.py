"""What every explainer keeps to."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.explainers.contract import check_callable, name_of
from aopc.explainers.registry import EXPLAINERS
from aopc.explainers.run import heatmaps_of
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


class Instance:
    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1)

    def method(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1)

    @staticmethod
    def static(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1)


class Module(nn.Module):
    """A network that explains another one."""

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1)


class Waits:
    async def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1)


def with_setting(model: nn.Module, images: Tensor, targets: Tensor, *, scale: float) -> Tensor:
    return images.sum(1) * scale


def yields(model: nn.Module, images: Tensor, targets: Tensor) -> Any:
    yield images


async def awaits(model: nn.Module, images: Tensor, targets: Tensor) -> Any:
    return images


def summed(k: int, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return k * images.sum(1)


@pytest.mark.parametrize(
    ("explain", "name"),
    [
        (Instance(), "Instance"),
        (Instance().method, "method"),
        (Instance.static, "static"),
        (Module(), "Module"),
        (functools.partial(with_setting, scale=1.0), "with_setting"),
        (functools.partial(functools.partial(functools.partial(summed), 1)), "summed"),
        (functools.partial(summed, 1), "summed"),
        (functools.partial(Instance()), "Instance"),
        (lambda *inputs: inputs[1].sum(1), "<lambda>"),
        (lambda model, images, targets, k=1: k * images.sum(1), "<lambda>"),
    ],
)
def test_anything_that_takes_the_three_is_an_explainer(explain: Any, name: str) -> None:
    """It is called by its function's or class' name where it has none."""
    x = images(2, 13, 13)
    assert name_of(explain) == name
    np.testing.assert_array_equal(aopc.heatmaps(small_network(), x, explain), x.sum(1).numpy())


@pytest.mark.parametrize(
    ("explain", "said"),
    [
        (3.14, "is of type float"),
        (None, "is of type NoneType"),
        (torch.ones(3), "is of type Tensor"),
        (Instance, "is a class"),
        (Module, "is a class"),
        (nn.ReLU(), r"cannot take three arguments \(too many positional arguments\)"),
        (Instance.method, "cannot take three arguments"),
        (with_setting, "cannot take three arguments"),
        (lambda model, images: images, "cannot take three arguments"),
        (lambda: 0, "cannot take three arguments"),
        (functools.partial(lambda a, b, c: 0, 1), "cannot take three arguments"),
        (dict.fromkeys, "cannot take three arguments"),
        (torch.add, "does not say its arguments"),
        (yields, "yields or awaits"),
        (awaits, "yields or awaits"),
        (Waits(), "yields or awaits"),
        (functools.partial(yields), "yields or awaits"),
    ],
)
def test_anything_else_is_refused_before_any_work(explain: Any, said: str) -> None:
    model = small_network()
    model.register_forward_hook(lambda *_: pytest.fail("work"))
    for call in (lambda: aopc.heatmaps(model, images(2, 13, 13), explain),
                 lambda: heatmaps_of(model, images(2, 13, 13), {"own": explain})):  # fmt: skip
        with pytest.raises(aopc.InputError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(aopc.InputError, match=f"the explainer 'mine' {said}.*explain\\(model, images, targets\\)"):
        check_callable("mine", explain)


@pytest.mark.parametrize("name", ["math:pi", "math:sqrt", "torch:add", "torch.nn:ReLU", "torch:nn", "no.such:thing"])
def test_names_that_lead_to_no_explainer_are_refused(name: str) -> None:
    with pytest.raises(aopc.InputError, match=f"the explainer '{name}'|'{name}' is no explainer"):
        heatmaps_of(small_network(), images(2, 13, 13), ["random", name])
