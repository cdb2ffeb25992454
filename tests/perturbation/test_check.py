"""The contract tests of removals and partitions: what keeps the contract passes, what breaks it is told how."""

from functools import cached_property
from typing import Any

import numpy as np
import pytest

import aopc
from aopc.perturbation.check import check_partition, check_removal
from aopc.perturbation.partition import Grid, LabelMap
from aopc.perturbation.removal import Imputer


def _changing(image: Any, values: Any, stream: Any) -> Any:
    image += 1
    return image


def _partly_nan(image: Any, values: Any, stream: Any) -> Any:
    found = image.copy()
    found[0, 0, 0] = np.inf
    return found


def _unseeded(image: Any, *rest: Any) -> Any:
    return np.random.default_rng().random(image.shape, np.float32)


@pytest.mark.parametrize(
    ("removal", "said"),
    [
        (lambda image, values, stream: image[:2], r"shape \(2, 12, 10\)"),
        (lambda image, values, stream: image.astype(np.float64), "float64, not float32"),
        (lambda image, values, stream: image * np.nan, "NaN or infinite"),
        (_partly_nan, "NaN or infinite"),
        (_changing, "changes the image that it is given"),
        (_unseeded, "same stream"),
        (Imputer(_unseeded), "same stream"),
        (Imputer(lambda image, removed, values, stream: image[:, :3]), "shape"),
    ],
)
def test_a_broken_removal_is_told(removal: Any, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        check_removal(removal)


class _Leaky(Imputer):
    """Changes one pixel that is left."""

    def __call__(self, image: Any, removed: Any, values: Any, stream: Any) -> Any:
        found = image.copy()
        found[1, 7, 3] += 1
        return found


def test_an_imputer_that_changes_what_is_left_is_told() -> None:
    with pytest.raises(aopc.InputError, match="changes pixels that are not removed"):
        check_removal(_Leaky(lambda image, removed, values, stream: image))


def test_what_a_removal_is_tried_on_has_something_removed_and_something_left() -> None:
    seen = []

    def keep(image: Any, removed: Any, values: Any, stream: Any) -> Any:
        seen.append((image, removed, values))
        return image

    check_removal(Imputer(keep))
    for image, removed, values in seen:
        assert image.shape == (3, 12, 10)
        assert removed.shape == (12, 10)
        assert 0 < removed.sum() < removed.size
        assert (removed != removed[::-1]).any()
        assert (image >= np.reshape(values.low, (3, 1, 1))).all()
        assert (image <= np.reshape(values.high, (3, 1, 1))).all()
        assert len(set(values.low) | set(values.high)) > 3  # channels differ


@pytest.mark.parametrize(
    "partition", [Grid(8, 8, 3), Grid(9, 7, 1), LabelMap(np.array([[0, 1, 1], [2, 2, 0]]))], ids=str
)
def test_partitions_that_keep_the_contract_pass(partition: Any) -> None:
    check_partition(partition)


class _Scores(Grid):
    def scores(self, heatmaps: Any) -> Any:
        return super().scores(heatmaps) + 1


class _OneScore(Grid):
    def scores(self, heatmaps: Any) -> Any:
        found = super().scores(heatmaps)
        found[-1, -1] += 1e-3
        return found


class _Boxes(Grid):
    @cached_property
    def boxes(self) -> Any:
        return super().boxes + np.array([0, 0, 0, 1])


class _Numbers(Grid):
    @cached_property
    def region_of_pixel(self) -> Any:
        return super().region_of_pixel + 1


class _Narrow(Grid):
    @cached_property
    def region_of_pixel(self) -> Any:
        return super().region_of_pixel.astype(np.int32)


class _Short(Grid):
    @cached_property
    def region_of_pixel(self) -> Any:
        return super().region_of_pixel[:-1]


class _Steps(Grid):
    def check_steps(self, steps: int) -> None:
        raise aopc.InputError(f"no {steps} steps")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (_Scores, "scores are not the sums"),
        (_OneScore, "scores are not the sums"),
        (_Boxes, "boxes are others"),
        (_Numbers, "not numbered from 0"),
        (_Narrow, r"no \(H, W\) int64"),
        (_Short, r"no \(H, W\) int64"),
        (_Steps, "no 9 steps"),
    ],
)
def test_a_broken_partition_is_told(kind: type[Grid], said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        check_partition(kind(8, 8, 3))
