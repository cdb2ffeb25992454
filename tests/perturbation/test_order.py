"""In which order regions are removed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import aopc
from aopc.base.errors import InputError
from aopc.perturbation.order import Ranking, heatmap_orders, random_orders, ranks_of, trajectories_at_random
from aopc.perturbation.partition import Grid

shapes = st.tuples(st.integers(4, 12), st.integers(4, 12), st.integers(1, 4))


def test_lerf_is_morf_backwards() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 12, 12))
    grid, ids = Grid(12, 12, 3), ["a", "b", "c"]
    morf = heatmap_orders(grid, maps, "morf", ids, 0)
    lerf = heatmap_orders(grid, maps, "lerf", ids, 0)
    np.testing.assert_array_equal(morf, lerf[:, ::-1])
    sums = maps[0].reshape(4, 3, 4, 3).sum(axis=(1, 3)).ravel()
    np.testing.assert_array_equal(morf[0], np.argsort(-sums))


@given(shape=shapes, seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_cut_off_regions_come_last_in_every_order(shape: tuple[int, int, int], seed: int) -> None:
    """So each of the first steps removes the same area for every method and for random order."""
    height, width, size = shape
    grid = Grid(height, width, size)
    maps = np.random.default_rng(seed).normal(size=(2, height, width))
    found = [heatmap_orders(grid, maps, o, ["a", "b"], seed) for o in ("morf", "lerf")]
    found += list(random_orders(grid, ["a", "b"], 3, seed))
    area = np.bincount(grid.region_of_pixel.ravel(), minlength=grid.count)
    for order in np.concatenate(found):
        assert sorted(order) == list(range(grid.count))
        assert (area[order[: grid.whole_count]] == size**2).all()
        assert (area[order[grid.whole_count :]] < size**2).all()


def test_ties_are_random_seeded_and_shared() -> None:
    grid, zeros = Grid(8, 8, 2), np.zeros((2, 8, 8))
    one = heatmap_orders(grid, zeros, "morf", ["a", "b"], 0)
    np.testing.assert_array_equal(one, heatmap_orders(grid, zeros + 3, "lerf", ["a", "b"], 0))
    assert (one[0] != one[1]).any()
    assert (one != heatmap_orders(grid, zeros, "morf", ["a", "b"], 1)).any()
    assert (one[0] != np.arange(16)).any()


def test_random_orders_are_uniform() -> None:
    """Each region comes first equally often: chi-squared with 15 degrees of freedom, p > 1e-6."""
    found = random_orders(Grid(8, 8, 2), ["a"], 3200, 0)[0, :, 0]
    counts = np.bincount(found, minlength=16)
    assert ((counts - 200) ** 2 / 200).sum() < 60


def test_a_ranking_is_one_order_an_image() -> None:
    """Of an array or a tensor; what is not finite has none, and the others have theirs."""
    grid, ids = Grid(4, 6, 2), ["a", "b", "c"]
    maps = np.random.default_rng(1).normal(size=(3, 4, 6)).astype(np.float32)
    whole = Ranking.of_heatmaps(grid, maps, "lerf", ids, 3)
    assert whole.usable.tolist() == [True, True, True]
    np.testing.assert_array_equal(whole.orders[:, 0], heatmap_orders(grid, maps, "lerf", ids, 3))
    assert whole.orders.shape == (3, 1, 6)
    tensor = torch.from_numpy(maps).requires_grad_(True)
    np.testing.assert_array_equal(Ranking.of_heatmaps(grid, tensor, "lerf", ids, 3).orders, whole.orders)
    half = torch.from_numpy(maps).bfloat16()
    assert Ranking.of_heatmaps(grid, half, "lerf", ids, 3).orders.shape == (3, 1, 6)
    broken = maps.copy()
    broken[0, 3, 5], broken[2, 0, 0] = np.nan, np.inf
    found = Ranking.of_heatmaps(grid, broken, "lerf", ids, 3)
    assert found.usable.tolist() == [False, True, False]
    np.testing.assert_array_equal(found.orders[1], whole.orders[1])
    for wrong in (maps[:2], maps[:, :3], maps.transpose(0, 2, 1), maps[0]):
        with pytest.raises(aopc.InputError, match=r"heatmaps must have shape \(3, 4, 6\)"):
            Ranking.of_heatmaps(grid, wrong, "morf", ids, 3)


def test_ties_and_random_orders_are_the_seeds() -> None:
    grid, ids = Grid(8, 8, 2), ["a", "b"]
    flat = np.zeros((2, 8, 8))
    one, other = (Ranking.of_heatmaps(grid, flat, "morf", ids, seed).orders for seed in (0, 1))
    assert (one != other).any()
    one, other = (Ranking.at_random(grid, ids, 2, 2, seed).orders for seed in (0, 1))
    assert (one != other).any()


def test_random_rankings_are_all_different_and_belong_to_their_images() -> None:
    grid = Grid(8, 8, 2)
    found = Ranking.at_random(grid, ["a", "b"], 5, 3, 0)
    assert found.orders.shape == (2, 6, 16)
    assert found.usable.tolist() == [True, True]
    assert len(np.unique(found.orders.reshape(12, 16), axis=0)) == 12
    np.testing.assert_array_equal(found.orders[1:], random_orders(grid, ["b"], 6, 0))
    np.testing.assert_array_equal(found.orders[:, :2], random_orders(grid, ["a", "b"], 2, 0))


@pytest.mark.parametrize(
    ("count", "repeats", "expected"),
    [(1, 1, 1), (5, 1, 5), (5, 3, 6), (6, 3, 6), (7, 3, 9), (3, 3, 3), (4, 10, 4)],
)
def test_random_orders_are_a_multiple_of_the_repeats(count: int, repeats: int, expected: int) -> None:
    assert trajectories_at_random(count, repeats) == expected


def test_every_pair_of_regions_is_in_random_order() -> None:
    """Not only the first region: each is at each place equally often (χ² of 15 degrees of freedom, p > 10⁻⁶)."""
    found = random_orders(Grid(8, 8, 2), ["a"], 3200, 0)[0]
    for place in (1, 7, 15):
        counts = np.bincount(found[:, place], minlength=16)
        assert ((counts - 200) ** 2 / 200).sum() < 60


def test_ranks_by_hand() -> None:
    """Region 2 goes first, then 0, then 1."""
    found = ranks_of(np.array([[2, 0, 1], [0, 1, 2]]))
    assert found.tolist() == [[1, 2, 0], [0, 1, 2]]
    assert found.dtype == np.int32
    # Two images with one order each, and one with two: the regions are the last axis.
    assert ranks_of(np.array([[[2, 0, 1]], [[0, 2, 1]]])).tolist() == [[[1, 2, 0]], [[0, 2, 1]]]
    assert ranks_of(np.array([[[2, 0, 1], [0, 2, 1]]])).tolist() == [[[1, 2, 0], [0, 2, 1]]]


def test_cut_off_regions_come_last_whatever_their_value() -> None:
    """3 × 5 with regions of 2: one row of two whole regions, 0 and 1; the others, with the largest values, follow by
    these.
    """
    grid = Grid(3, 5, 2)
    maps = np.arange(15.0).reshape(1, 3, 5)
    assert grid.scores(maps).tolist() == [[12, 20, 13, 21, 25, 14]]
    assert heatmap_orders(grid, maps, "morf", ["a"], 0).tolist() == [[1, 0, 4, 3, 5, 2]]
    assert heatmap_orders(grid, maps, "lerf", ["a"], 0).tolist() == [[0, 1, 2, 5, 3, 4]]


@pytest.mark.parametrize("largest", [1.7e308, 1e300, 1e-300])
def test_sums_of_the_largest_and_smallest_numbers_keep_their_order(largest: float) -> None:
    maps = np.array([[[1, 1, 0.9, 0.9], [1, 1, 0.9, 0.9], [-1, -1, 0.8, 0.8], [-1, -1, 0.8, 0.8]]])
    found = heatmap_orders(Grid(4, 4, 2), maps * largest, "morf", ["a"], 0)
    np.testing.assert_array_equal(found, [[0, 1, 3, 2]])


def test_what_is_masked_is_no_number() -> None:
    maps = np.ma.masked_array(np.ones((1, 4, 4)), mask=np.eye(4, dtype=bool)[None])
    with pytest.raises(InputError, match="heatmaps must be an array without a mask"):
        Ranking.of_heatmaps(Grid(4, 4, 2), maps, "morf", ["a"], 0)


@pytest.mark.parametrize(
    ("orders", "said"), [([[[0, 1, -1]]], "regions 0 to 2; got -1 to 1"), ([[[1, 2, 3]]], "regions 0 to 2; got 1 to 3")]
)
def test_orders_of_other_regions_are_refused(orders: list[list[list[int]]], said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        Ranking(np.array(orders), np.array([True]))
    # Fewer than all of them are a ranking, of the first steps.
    assert Ranking(np.array([[[1, 2, 1]]]), np.array([True])).orders.shape == (1, 1, 3)


def test_a_ranking_needs_integers_and_as_many_flags_as_images() -> None:
    orders = np.zeros((2, 1, 3), int)
    for wrong in (orders.astype(float), orders[0], orders == 0):
        with pytest.raises(aopc.InputError, match="orders"):
            Ranking(wrong, np.array([True, False]))
    for flags in (np.array([True]), np.array([1, 0]), np.array([[True, False]])):
        with pytest.raises(aopc.InputError, match="usable"):
            Ranking(orders, flags)  # type: ignore[arg-type]


def test_heatmaps_wider_than_float32_keep_what_they_have() -> None:
    """Two regions that differ beyond float32: as tensors and as arrays they are told apart."""
    grid = Grid(2, 4, 2)
    maps = np.zeros((1, 2, 4))
    maps[0, 0, 0], maps[0, 0, 2] = 1.0, 1.0 + 1e-12
    for heatmaps in (maps, torch.from_numpy(maps)):
        assert Ranking.of_heatmaps(grid, heatmaps, "morf", ["a"], 0).orders.tolist() == [[[1, 0]]]
        assert Ranking.of_heatmaps(grid, heatmaps, "lerf", ["a"], 0).orders.tolist() == [[[0, 1]]]


def test_random_orders_ask_for_the_memory_that_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all of them twice, one by one and joined."""
    asked: dict[str, int] = {}
    monkeypatch.setattr("aopc.perturbation.order.require_memory", lambda needed, what: asked.setdefault(what, needed))
    found = random_orders(Grid(20, 30, 1), ["a", "b", "c"], 4, 0)
    ((what, needed),) = asked.items()
    assert what == "4 random orders of 600 regions for 3 images"
    assert 2 * found.nbytes <= needed <= 2.1 * found.nbytes
