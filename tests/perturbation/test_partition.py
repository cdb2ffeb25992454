"""Partitions: label maps and the grid, against a brute force."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import nn

import aopc
from aopc.base.errors import InputError
from aopc.perturbation.order import Ranking
from aopc.perturbation.partition import Grid, LabelMap, Partition, as_partition, boxes_of
from conftest import Recorder, images

labels = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 6)).map(
    lambda a: np.unique(a, return_inverse=True)[1].reshape(a.shape)
)
grids = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5)).filter(lambda g: g[2] <= min(g[:2]))


def require_contract(partition: Partition, seed: int) -> None:
    """All that :class:`Partition` says, region by region."""
    regions, shape = partition.region_of_pixel, (partition.height, partition.width)
    assert regions.shape == shape
    assert regions.dtype == np.int64
    assert np.unique(regions).tolist() == list(range(partition.count))
    maps = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    scores = partition.scores(maps)
    assert scores.shape == (3, partition.count)
    assert scores.dtype == np.float64
    assert partition.boxes.shape == (partition.count, 4)
    for region in range(partition.count):
        inside = regions == region
        rows, columns = np.nonzero(inside)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert partition.boxes[region].tolist() == box
        expected = maps[:, inside].astype(np.float64).sum(axis=1)
        np.testing.assert_allclose(scores[:, region], expected, rtol=1e-12, atol=1e-12)
    assert partition.comes_last.shape == (partition.count,)
    assert partition.scores(maps[:0]).shape == (0, partition.count)
    partition.check_steps(1)
    partition.check_steps(partition.count)
    for steps in (0, -1, partition.count + 1):
        with pytest.raises(aopc.InputError, match=f"number of regions, {partition.count} "):
            partition.check_steps(steps)


@settings(max_examples=60, deadline=None)
@given(labels=labels, seed=st.integers(0, 100))
def test_a_label_map_keeps_the_contract(labels: np.ndarray, seed: int) -> None:
    partition = LabelMap(labels)
    np.testing.assert_array_equal(partition.region_of_pixel, labels)
    assert not partition.comes_last.any()
    require_contract(partition, seed)


@settings(max_examples=60, deadline=None)
@given(grid=grids, seed=st.integers(0, 100))
def test_a_grid_keeps_the_contract(grid: tuple[int, int, int], seed: int) -> None:
    partition = Grid(*grid)
    sizes = np.bincount(partition.region_of_pixel.ravel())
    np.testing.assert_array_equal(partition.comes_last, sizes < partition.size**2)
    assert (~partition.comes_last).sum() == partition.whole_count
    require_contract(partition, seed)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_labels_of_every_integer_type_are_taken(dtype: type) -> None:
    partition = LabelMap(np.array([[0, 1], [2, 1]], dtype))
    assert partition.region_of_pixel.dtype == np.int64
    assert partition.boxes.tolist() == [[0, 0, 1, 1], [0, 1, 2, 2], [1, 0, 2, 1]]


@pytest.mark.parametrize(
    "labels",
    [
        [[0, 2], [2, 0]],
        [[1, 2], [2, 1]],
        [[0, -1], [0, 1]],
        [[0, 10**12]],
        [[0, 2**63]],
        [[0.0, 1.0]],
        [[False, True]],
        [["sky", "sea"]],
        [0, 1],
        [[[0, 1]]],
        [[]],
        5,
    ],
    ids=str,
)
def test_what_is_no_label_map_is_refused(labels: object) -> None:
    with pytest.raises(aopc.InputError, match=r"numbered from 0 without a gap|must be numbers") as caught:
        LabelMap(np.array(labels))
    assert "\n" not in str(caught.value)


def test_a_label_map_is_its_own() -> None:
    """What becomes of the user's array does not change the regions."""
    array = np.array([[0, 0], [1, 1]])
    partition = LabelMap(array)
    array[:] = 0
    assert partition.count == 2
    assert partition.region_of_pixel.tolist() == [[0, 0], [1, 1]]


def test_impossible_grids_are_said() -> None:
    with pytest.raises(aopc.InputError, match="at least 1"):
        Grid(4, 4, 0)
    with pytest.raises(aopc.InputError, match="larger than the image of 4 × 6"):
        Grid(4, 6, 5)


@settings(max_examples=15, deadline=None)
@given(
    size=st.sampled_from([(2, 1, 3), (4, 3, 1), (3, 2, 2)]),
    order=st.sampled_from(["morf", "lerf", "random"]),
    removal=st.sampled_from(["uniform", "mean"]),
    seed=st.integers(0, 2**20),
)
def test_a_label_map_equal_to_a_grid_has_its_curves(
    size: tuple[int, int, int], order: str, removal: str, seed: int
) -> None:
    """Where the border cuts nothing off; both by full passes, so to the bit."""
    pixels, rows, columns = size
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16, 3),
    )  # fmt: skip
    x = images(2, pixels * rows, pixels * columns, seed)
    grid = Grid(pixels * rows, pixels * columns, pixels)
    options = dict(targets=[0, 1], order=order, removal=removal, seed=seed, repeats=2)
    options |= dict(steps=rows * columns, region_size=pixels, incremental=False)
    by_grid = aopc.perturbation_curves(model, x, x.sum(1), **options)
    same = LabelMap(grid.region_of_pixel)
    by_labels = aopc.perturbation_curves(model, x, x.sum(1), partition=same, **options)
    np.testing.assert_array_equal(by_labels.logits, by_grid.logits)
    np.testing.assert_array_equal(by_labels.probabilities, by_grid.probabilities)


@settings(max_examples=15, deadline=None)
@given(labels=labels, order=st.sampled_from(["morf", "lerf"]), seed=st.integers(0, 2**20))
def test_the_regions_of_a_label_map_go_one_by_one(labels: np.ndarray, order: str, seed: int) -> None:
    """By their sums over the heatmap; nothing but their own pixels changes."""
    partition, shape = LabelMap(labels), labels.shape
    model, x = Recorder(shape), images(1, *shape, seed)
    heatmap = x.sum(1)
    aopc.perturbation_curves(
        model, x, heatmap, [0], partition=partition, steps=partition.count, repeats=1, order=order,
        value_range=aopc.ValueRange((50.0,) * 3, (51.0,) * 3), batch_size=2,
    )  # fmt: skip
    # Before that the model was run to see what it takes.
    seen = torch.cat(model.seen)[-partition.count - 1 :].numpy()
    gone = [(image != x[0].numpy()).any(0) for image in seen]
    sums = partition.scores(heatmap.numpy())[0]
    wanted = np.argsort(-sums if order == "morf" else sums)
    for step, mask in enumerate(gone):
        np.testing.assert_array_equal(mask, np.isin(labels, wanted[:step]))


class Own:
    """A partition of the user's own, in which something is not as it should be."""

    def __init__(self, **wrong: Any) -> None:
        labels = np.arange(12).reshape(3, 4) // 2
        self.region_of_pixel, self.height, self.width, self.count = labels, 3, 4, 6
        self.boxes, self.comes_last = boxes_of(labels, 6), np.zeros(6, dtype=bool)
        self.scores = lambda maps: LabelMap(labels).scores(maps)
        self.check_steps = lambda steps: None
        vars(self).update(wrong)


def _fails(*_: object) -> Any:
    raise SystemExit("a\nb")


WRONG: dict[str, dict[str, Any]] = {
    "negative": {"region_of_pixel": np.arange(12).reshape(3, 4) // 2 - 1},
    "a gap": {"region_of_pixel": np.arange(12).reshape(3, 4), "count": 13},
    "not whole": {"region_of_pixel": np.zeros((3, 4))},
    "another shape": {"region_of_pixel": np.arange(12).reshape(4, 3) // 2},
    "fewer": {"count": 5},
    "no last": {"comes_last": None},
    "other last": {"comes_last": np.zeros(3, dtype=bool)},
    "scores of another shape": {"scores": lambda maps: np.zeros((len(maps), 4))},
    "no scores": {"scores": lambda maps: None},
    "NaN": {"scores": lambda maps: np.full((len(maps), 6), np.nan)},
    "fails": {"scores": _fails},
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_partition_that_is_not_what_it_says_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(InputError) as caught:
        Ranking.of_heatmaps(Own(**WRONG[kind]), np.zeros((2, 3, 4)), "morf", ["a", "b"], 0)
    assert "\n" not in str(caught.value)


def test_a_partition_of_the_users_own_is_taken_as_it_is_now() -> None:
    own = Own()
    taken, before = as_partition(own), own.region_of_pixel.copy()
    own.region_of_pixel[:] = 0
    own.comes_last[:] = True
    np.testing.assert_array_equal(taken.region_of_pixel, before)
    assert not taken.comes_last.any()
    with pytest.raises(InputError, match="between 1 and the number of regions, 6"):
        taken.check_steps(7)
    own.scores = lambda maps: maps.fill(0) or np.zeros((len(maps), 6))
    maps = np.ones((1, 3, 4))
    taken.scores(maps)
    assert maps.all()
