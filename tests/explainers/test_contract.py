"""What every explainer keeps to."""

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.contract import check_callable, name_of
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


def test_explainers_without_a_name_are_called_by_their_function_or_class() -> None:
    class Mine:
        def __call__(self, model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return x.sum(1)

    for explain, name in (
        (images, "images"),
        (functools.partial(images, 1), "images"),
        (functools.partial(functools.partial(images, 1), 2), "images"),
        (functools.partial(Mine()), "Mine"),
        (Mine(), "Mine"),
        (nn.ReLU(), "ReLU"),
    ):
        assert name_of(explain) == name


class Module(nn.Module):
    """A network that explains another one."""

    def forward(self, model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return x.sum(1)


class Waits:
    async def __call__(self, model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return x.sum(1)


def yields(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> Iterator[torch.Tensor]:
    yield x.sum(1)


@pytest.mark.parametrize(
    "explain",
    [Module(), lambda *arguments: 0, functools.partial(lambda a, b, c, d: 0, 1), lambda model, images, targets, k=3: 0],
)
def test_what_takes_three_arguments_can_be_an_explainer(explain: object) -> None:
    check_callable("mine", explain)


@pytest.mark.parametrize(
    ("explain", "said"),
    [
        (Module, "is a class"),
        (3, "is of type int"),
        (yields, "yields or awaits"),
        (Waits(), "yields or awaits"),
        (functools.partial(yields), "yields or awaits"),
        (nn.ReLU(), r"cannot take three arguments \(too many positional arguments\)"),
        (lambda model, images: 0, "cannot take three arguments"),
        (functools.partial(lambda a, b, c: 0, 1), "cannot take three arguments"),
        (dict.fromkeys, "cannot take three arguments"),
    ],
)
def test_what_cannot_be_one_is_told_why(explain: object, said: str) -> None:
    with pytest.raises(
        aopc.InputError, match=f"the explainer 'mine' {said}.*explain\\(model, images, targets\\)"
    ) as caught:
        check_callable("mine", explain)
    assert "\n" not in str(caught.value)
