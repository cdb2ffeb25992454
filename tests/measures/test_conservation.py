"""How much of the score a heatmap adds up to."""

import numpy as np

from aopc.measures.conservation import conserved_share


def test_it_is_the_sum_over_the_score_where_there_is_one() -> None:
    maps = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    scores = maps.astype(np.float64).sum(axis=(1, 2)) / np.array([1.0, 0.5, -2.0, 1.0, 1.0])
    np.testing.assert_allclose(conserved_share(maps, scores), [1, 0.5, -2, 1, 1])


def test_a_score_within_rounding_is_no_denominator() -> None:
    """Also where it is not exactly zero: one such image would be most of the mean."""
    maps = np.array([[[2.0, -2.0]]] * 5, dtype=np.float32)
    maps[4] = np.nan
    found = conserved_share(maps, np.array([0.0, 1e-9, -1e-6, 1.0, 1.0]))
    assert np.isnan(found).tolist() == [True, True, True, False, True]


def test_a_heatmap_and_a_score_of_nothing_have_no_share_and_no_warning() -> None:
    with np.errstate(all="raise"):
        found = conserved_share(np.zeros((2, 1, 2)), np.array([0.0, 3.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.0])
