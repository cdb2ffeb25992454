"""Heatmaps against masks of what the label names."""

from typing import Any

import numpy as np
import pytest

import aopc
from aopc.measures.localisation import pointing_game, relevance_mass


def test_relevance_mass_and_pointing_game_by_hand() -> None:
    maps = np.array([[[3.0, 1.0], [-9.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]], [[1.0, 5.0], [1.0, 1.0]]])
    masks = np.array([[[True, False], [True, False]]] * 3)
    with np.errstate(all="raise"):
        np.testing.assert_allclose(relevance_mass(maps, masks), [0.75, np.nan, 0.25])
        np.testing.assert_array_equal(pointing_game(maps, masks), [1.0, np.nan, 0.0])
        assert np.isnan(relevance_mass(maps, np.zeros_like(masks))).all()
        assert np.isnan(pointing_game(maps, np.zeros_like(masks))).all()
    masks[0] = False  # the others' masks are not empty
    np.testing.assert_allclose(relevance_mass(maps, masks), [np.nan, np.nan, 0.25])
    masks[0] = masks[2]
    broken = maps.copy()
    broken[0, 0, 0] = np.nan
    assert np.isnan(relevance_mass(broken, masks)[0])
    assert np.isnan(pointing_game(broken, masks)[0])


def test_rows_and_columns_are_not_exchanged() -> None:
    """2 × 3: 4 of 10 lie in the mask's second row; the largest value is the last of the first row."""
    maps = np.array([[[0.0, 1.0, 5.0], [1.0, 0.0, 3.0]]])
    masks = np.zeros((1, 2, 3), dtype=bool)
    masks[0, 1] = True
    assert relevance_mass(maps, masks).tolist() == [0.4]
    assert pointing_game(maps, masks).tolist() == [0.0]
    assert pointing_game(maps, ~masks).tolist() == [1.0]


def test_of_several_maxima_the_first_counts() -> None:
    maps = np.array([[[0.0, 2.0], [2.0, 1.0]]])
    masks = np.array([[[False, True], [False, False]]])
    assert pointing_game(maps, masks).tolist() == [1.0]
    assert pointing_game(maps, masks[:, ::-1, ::-1]).tolist() == [0.0]


def test_masses_are_summed_in_double() -> None:
    """One, and 2²⁴ in the mask: float32 has no number for the sum."""
    maps = np.array([[[2.0**24, 1.0]]], dtype=np.float32)
    masks = np.array([[[True, False]]])
    assert relevance_mass(maps, masks).tolist() == [2**24 / (2**24 + 1)]


def test_relevance_mass_of_nothing_known_is_the_objects_share() -> None:
    maps = np.random.default_rng(0).random((200, 16, 16))
    masks = np.zeros((200, 16, 16), dtype=bool)
    masks[:, :4] = True
    assert relevance_mass(maps, masks).mean() == pytest.approx(0.25, abs=0.01)
    assert pointing_game(maps, masks).mean() == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("measure", [relevance_mass, pointing_game])
@pytest.mark.parametrize(
    ("maps", "masks", "said"),
    [
        (np.ones((2, 3)), np.ones((1, 2, 3), bool), r"heatmaps must be numbers of shape \(images, height, width\)"),
        (np.ones((1, 2, 3)), np.ones((2, 3), bool), r"masks must be truth values of shape \(images, height, width\)"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), "masks must be truth values .* got float64"),
        (np.ones((1, 2, 3)), np.ones((1, 3, 2), bool), r"must have one shape; got \(1, 2, 3\) and \(1, 3, 2\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(measure: Any, maps: np.ndarray, masks: np.ndarray, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said):
        measure(maps, masks)
