"""Every explainer, removal and partition that has a name keeps its contract, and the check can fail."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.explainers.check import check_explainer, example_network
from aopc.explainers.registry import EXPLAINERS, FURTHER
from aopc.perturbation.check import check_partition, check_removal
from aopc.perturbation.partition import Grid, LabelMap
from aopc.perturbation.removal import REMOVALS

PARTITIONS = {
    "grid": Grid(16, 16, 4),
    "grid with a border": Grid(17, 13, 5),
    "label map": LabelMap(np.arange(130).reshape(10, 13) % 7),
}


@pytest.mark.parametrize("name", EXPLAINERS | FURTHER)
def test_explainers_keep_their_contract(name: str) -> None:
    check_explainer(name)
    training = example_network().train()
    training[0].weight.grad = torch.ones_like(training[0].weight)
    check_explainer(name, training)


@pytest.mark.parametrize("name", REMOVALS)
def test_removals_keep_their_contract(name: str) -> None:
    check_removal(name)


@pytest.mark.parametrize("name", PARTITIONS)
def test_partitions_keep_their_contract(name: str) -> None:
    check_partition(PARTITIONS[name])


def _training(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    model[0].requires_grad_(False)
    return images.sum(1)


def _hooked(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    model[1].register_forward_hook(lambda *_: None)
    return images.sum(1)


def _random(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return torch.rand(len(images), *images.shape[2:])


def _of_the_batch(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return images.sum(1) / images.abs().max()


def _gradients(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    model(images).sum().backward()
    return images.sum(1)


@pytest.mark.parametrize(
    ("explain", "said"),
    [
        (_training, "switches of gradients"),
        (_hooked, "hooks"),
        (_random, "second call"),
        (_of_the_batch, "depend on the others"),
        (_gradients, "gradients"),
    ],
)
def test_a_broken_explainer_is_told(explain: Callable[..., Tensor], said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        check_explainer(explain)
