"""In which order regions are removed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.perturbation.order import heatmap_orders, random_orders
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
