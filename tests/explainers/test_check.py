"""The contract test that users run."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.explainers.check import check_explainer


def gradient(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    images.requires_grad_()
    model(images).gather(1, targets[:, None]).sum().backward()
    return images.grad.abs().sum(1)


def counts(calls: Iterator[int]) -> Any:
    return lambda model, images, targets: images.sum(1) + next(calls)


def tidied(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    model.train().requires_grad_(False)
    return images.sum(1)


@pytest.mark.parametrize("explain", [gradient, tidied])
def test_what_is_tidied_up_behind_an_explainer_breaks_nothing(explain: Any) -> None:
    check_explainer(explain)


@pytest.mark.parametrize(
    ("explain", "said"),
    [
        (lambda m, x, t: x.sum(1) - x.mean(), "depend on the others in its batch"),
        (lambda m, x, t: x.sum(1) + torch.rand(1), "depend on the others in its batch, or on random numbers"),
        (counts(iter(range(99))), "a second call gives other heatmaps"),
        (lambda m, x, t: m[0].weight.data.add_(1).sum() + x.sum(1), "changed the network"),
        (lambda m, x, t: m[1].register_forward_hook(lambda *_: None) and x.sum(1), "a hook of layer 1"),
        (lambda m, x, t: x, r"must return heatmaps of shape \(4, 16, 16\)"),
        (lambda m, x, t: None, "it returned NoneType"),
        (lambda m, x: x.sum(1), "cannot take three arguments"),
        (lambda m, x, t: x.sum(1) / 0, "gave NaN or infinite values"),
        (3, "is of type int"),
    ],
)
def test_what_breaks_it_is_said(explain: Any, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        check_explainer(explain)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_dependence_is_judged_by_the_size_of_the_heatmaps(scale: float) -> None:
    """A thousandth of their largest value is too much, and rounding is not, whatever their unit."""

    def depends(model: nn.Module, x: Tensor, targets: Tensor, share: float) -> Tensor:
        maps = x.sum(1)
        return scale * (maps + share * maps.abs().max() * len(x))

    with pytest.raises(aopc.InputError, match="depend on the others in its batch"):
        check_explainer(lambda m, x, t: depends(m, x, t, 1e-3))
    check_explainer(lambda m, x, t: depends(m, x, t, 1e-6))


def test_an_explainer_that_gives_zeros_keeps_the_contract() -> None:
    check_explainer(lambda m, x, t: torch.zeros(len(x), 16, 16))


def test_it_is_checked_on_the_users_own_network_and_images() -> None:
    seen = []

    def explain(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
        seen.append((type(model[1]), tuple(x.shape), targets.tolist()))
        return x.sum(1)

    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 4, 2))
    check_explainer(explain, network, torch.rand(3, 3, 5, 4))
    assert seen[0] == (nn.Linear, (3, 3, 5, 4), [0, 1, 0])
    assert seen[-3:] == [(nn.Linear, (1, 3, 5, 4), [i % 2]) for i in range(3)]
