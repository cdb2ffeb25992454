"""Every explainer, removal and partition that has a name keeps its contract, and the check can fail."""

from typing import Any

import numpy as np
import pytest
import torch

import aopc
from aopc.explainers.check import check_explainer, example_network
from aopc.explainers.registry import EXPLAINERS, FURTHER
from aopc.perturbation.check import check_partition, check_removal
from aopc.perturbation.partition import Grid, LabelMap
from aopc.perturbation.removal import REMOVALS, Imputer

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


def _changing(image: Any, values: Any, stream: Any) -> Any:
    image += 1
    return image


@pytest.mark.parametrize(
    ("removal", "said"),
    [
        (lambda image, values, stream: image[:2], "shape"),
        (lambda image, values, stream: image.astype(np.float64), "float64"),
        (lambda image, values, stream: image * np.nan, "NaN"),
        (_changing, "changes the image"),
        (
            lambda image, values, stream: np.random.default_rng().random(image.shape, np.float32),
            "same stream",
        ),
        (Imputer(lambda image, removed, values, stream: image[:, :3]), "shape"),
    ],
)
def test_a_broken_removal_is_told(removal: Any, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        check_removal(removal)


def test_a_broken_partition_is_told() -> None:
    class Wrong(Grid):
        def scores(self, heatmaps: Any) -> Any:
            return super().scores(heatmaps) + 1

    with pytest.raises(aopc.InputError, match="scores"):
        check_partition(Wrong(8, 8, 3))
