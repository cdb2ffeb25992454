"""The spatial control: the same heatmap at a place that knows nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.perturbation.partition import Grid
from aopc.perturbation.spatial_control import at_random_places

IDS = ["a", "b", "c"]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 6),
    columns=st.integers(2, 6),
    size=st.integers(1, 3),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 1000),
)
def test_it_is_the_heatmap_at_another_place(
    rows: int, columns: int, size: int, more: tuple[int, int], seed: int
) -> None:
    """The same values, each with the same neighbours on the torus; cut-off regions stay."""
    grid = Grid(rows * size + more[0] % size, columns * size + more[1] % size, size)
    maps = np.random.default_rng(seed).standard_normal((2, grid.height, grid.width))
    moved = at_random_places(maps, grid, ["x", "y"], number=0, seed=seed)
    before, after = grid.scores(maps), grid.scores(moved) / size**2
    whole = ~grid.comes_last
    for i in range(2):
        np.testing.assert_allclose(np.sort(before[i, whole]), np.sort(after[i, whole]), rtol=1e-5)
        assert _neighbours(before[i], grid, rows, columns) == pytest.approx(
            _neighbours(after[i], grid, rows, columns), rel=1e-4, abs=1e-4
        )
    kept = grid.comes_last[grid.region_of_pixel]
    expected = before[:, grid.region_of_pixel.ravel()].reshape(maps.shape)
    np.testing.assert_allclose(moved[:, kept], expected[:, kept], rtol=1e-5, atol=1e-6)


def _neighbours(scores: np.ndarray, grid: Grid, rows: int, columns: int) -> float:
    """Σ of products of neighbours on the torus: the same for maps that differ by place only."""
    whole = scores.reshape(grid.rows, grid.columns)[:rows, :columns]
    pairs = whole * np.roll(whole, 1, axis=0) + whole * np.roll(whole, 1, axis=1)
    return float(pairs.sum()) if rows == columns else float((whole * np.roll(whole, 1, axis=0)).sum())


def test_places_depend_on_image_and_number_only() -> None:
    grid = Grid(12, 12, 2)
    maps = np.random.default_rng(0).standard_normal((3, 12, 12))
    whole = at_random_places(maps, grid, IDS, number=0, seed=0)
    alone = at_random_places(maps[1:2], grid, ["b"], number=0, seed=0)
    np.testing.assert_array_equal(whole[1], alone[0])
    assert (whole != at_random_places(maps, grid, IDS, number=1, seed=0)).any()
    same = at_random_places(np.stack([maps[0]] * 3), grid, IDS, number=0, seed=0)
    assert (same[0] != same[1]).any()  # each image has its own place
    # All 144 places and turns of a 6 × 6 grid are about equally frequent.
    marked = np.zeros((4000, 12, 12))
    marked[:, :2, :2] = 1
    many = at_random_places(marked, grid, [str(i) for i in range(4000)], number=0, seed=0)
    counts = (grid.scores(many) > 0).sum(axis=0)
    assert counts.sum() == 4000
    assert counts.min() > 111 - 5 * 10.5
    assert counts.max() < 111 + 5 * 10.5


def _orientations(height: int, width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the marked regions lie: 1 in the corner, 2 on its right, 4 below it. (count,) keys of the way it was turned
    and mirrored, and of the place of the 1.
    """
    grid = Grid(height, width, 1)
    marked = np.zeros((count, height, width))
    marked[:, 0, 0], marked[:, 0, 1], marked[:, 1, 0] = 1, 2, 4
    moved = at_random_places(marked, grid, [str(i) for i in range(count)], number=0, seed=0)
    size = np.array([height, width])
    corner, right, below = (np.argwhere(moved == value)[:, 1:] for value in (1, 2, 4))
    steps = [(np.array(to) - corner + 1) % size - 1 for to in (right, below)]
    key = steps[0] @ [3, 1] * 10 + steps[1] @ [3, 1]
    return key, corner @ [width, 1]


@pytest.mark.parametrize(("height", "width", "ways"), [(5, 5, 8), (4, 6, 4), (6, 4, 4)])
def test_every_way_to_lie_is_equally_frequent(height: int, width: int, ways: int) -> None:
    """Turned by quarters where the grid is a square and by a half where not, mirrored or not; independently of where."""
    count = 4000
    key, place = _orientations(height, width, count)
    _, which = np.unique(key, return_inverse=True)
    found = np.bincount(which)
    assert len(found) == ways
    share = 1 / ways
    np.testing.assert_allclose(found / count, share, atol=5 * np.sqrt(share * (1 - share) / count))
    # χ² of places against ways: its mean is its degrees of freedom.
    table = np.zeros((ways, height * width))
    np.add.at(table, (which, place), 1)
    expected = count / table.size
    degrees = table.size - 1
    assert ((table - expected) ** 2 / expected).sum() < degrees + 5 * np.sqrt(2 * degrees)


def test_another_seed_is_another_place_and_other_images_have_the_same() -> None:
    grid = Grid(12, 12, 2)
    maps = np.random.default_rng(0).standard_normal((1, 12, 12))
    first, other = (at_random_places(maps, grid, ["a"], number=0, seed=seed) for seed in (0, 1))
    assert (first != other).any()
    # The shift is the image's, not the heatmap's.
    doubled = at_random_places(2 * maps, grid, ["a"], number=0, seed=0)
    np.testing.assert_allclose(doubled, 2 * first, rtol=1e-6)
    assert first.dtype == np.float32


def test_the_places_are_those_of_the_published_numbers() -> None:
    """Another use of the same random numbers would be as good, and give other ones."""
    maps = np.arange(6.0).reshape(1, 2, 3)
    expected = {
        "a": [[3, 5, 4], [0, 2, 1]],
        "b": [[3, 4, 5], [0, 1, 2]],
        "c": [[1, 2, 0], [4, 5, 3]],
        "d": [[0, 1, 2], [3, 4, 5]],
    }
    for name, found in expected.items():
        assert at_random_places(maps, Grid(2, 3, 1), [name], number=0, seed=0)[0].tolist() == found
