"""Whether heatmaps belong to their images: how like they are to others of the class."""

import numpy as np
import pytest

import aopc
from aopc.measures.specificity import similarity_to_others, with_their_spread
from aopc.measures.statistics.hypotheses import mean_reading


def test_similarity_is_the_mean_correlation_with_the_others() -> None:
    generator = np.random.default_rng(0)
    maps, classes = generator.standard_normal((7, 4, 4)), np.array([0, 0, 0, 1, 1, 2, 0])
    maps[6] = 1.0  # no picture at all
    found = similarity_to_others(maps, classes)
    r = np.corrcoef(maps[:6].reshape(6, -1))
    np.testing.assert_allclose(found[:3], [(r[i, :3].sum() - 1) / 2 for i in range(3)])
    np.testing.assert_allclose(found[3:5], r[3, 4])
    assert np.isnan(found[5:]).all()
    np.testing.assert_allclose(similarity_to_others(5 * maps + 2, classes)[:5], found[:5])


def test_the_spread_by_hand() -> None:
    """Mean 0.6 of all; deviations of ±0.25 from the class's own mean count twice."""
    similarities, classes = np.array([1.0, 0.5, 0.3, np.nan]), np.array([4, 4, 7, 7])
    np.testing.assert_allclose(with_their_spread(similarities, classes), [1.1, 0.1, 0.6, np.nan])
    with np.errstate(all="raise"):
        assert np.isnan(with_their_spread(np.full(2, np.nan), classes[:2])).all()


def test_heatmaps_far_from_zero_correlate_in_double() -> None:
    """The same small picture on a large pedestal, which float32 arithmetic would lose."""
    picture = np.arange(6.0).reshape(2, 3)
    maps = (np.stack([picture, picture]) + 2.0**20).astype(np.float32)
    np.testing.assert_allclose(similarity_to_others(maps, np.array([0, 0])), [1.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(similarity_to_others(maps * [[[1]], [[-1]]], np.array([0, 0])), [-1.0, -1.0])


def test_similar_heatmaps_are_not_independent() -> None:
    """The interval of the mean similarity covers its true value about as often as it says."""
    generator = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 12)
    covered, trials = 0, 150
    truth = np.mean([similarity_to_others(_heatmaps(generator, classes), classes).mean() for _ in range(400)])
    for _ in range(trials):
        found = similarity_to_others(_heatmaps(generator, classes), classes)
        values = with_their_spread(found, classes)
        assert values.mean() == pytest.approx(found.mean())
        reading = mean_reading("x", values, seed=0)
        covered += reading.low <= truth <= reading.high
    assert covered / trials > 0.87  # the plain spread covers 70 %


def _heatmaps(generator: np.random.Generator, classes: np.ndarray) -> np.ndarray:
    """Pictures that share a part of varying strength."""
    common = np.random.default_rng(1).standard_normal((classes.max() + 1, 5, 5))
    strength = generator.uniform(0, 2, len(classes))[:, None, None]
    return strength * common[classes] + generator.standard_normal((len(classes), 5, 5))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6, -7.7])
def test_a_constant_heatmap_has_no_correlation_whatever_its_mean_rounds_to(value: float) -> None:
    """The mean of many 0.1 is not 0.1, and what is left over is no picture."""
    maps = np.full((4, 31, 29), value, dtype=np.float32)
    maps[2:] *= 1 + 1e-7 * np.random.default_rng(0).standard_normal((2, 31, 29)).astype(np.float32)
    assert np.isnan(similarity_to_others(maps, np.zeros(4, dtype=int))).all()
    maps[:2] += np.random.default_rng(1).standard_normal((2, 31, 29)).astype(np.float32) * abs(value)
    assert np.isfinite(similarity_to_others(maps, np.zeros(4, dtype=int))[:2]).all()


def test_arrays_that_do_not_fit_are_refused() -> None:
    maps, classes = np.ones((2, 3, 4)), np.array([0, 0])
    for wrong, said in (
        ((maps[0], classes), r"heatmaps must be numbers of shape \(images, height, width\)"),
        ((maps * np.nan, classes), "heatmaps must be finite"),
        ((maps, classes * 1.0), r"classes must be integers of shape \(images\)"),
        ((maps, classes[None]), r"classes must be integers of shape \(images\)"),
        ((maps, classes[:1]), "as many of each: got 2 heatmaps, 1 classes"),
    ):
        with pytest.raises(aopc.InputError, match=said):
            similarity_to_others(*wrong)
    for wrong, said in (
        ((maps, classes), r"similarities must be numbers of shape \(images\)"),
        ((np.ones(2), classes * 1.0), r"classes must be integers of shape \(images\)"),
        ((np.ones(3), classes), "as many of each: got 3 similarities, 2 classes"),
    ):
        with pytest.raises(aopc.InputError, match=said):
            with_their_spread(*wrong)


def test_a_heatmap_is_constant_by_its_own_size() -> None:
    """One that is tiny beside the others is a picture all the same."""
    maps = np.array([[[1.0, 2.0, 4.0]], [[1.0, 2.0, 4.0]], [[3.0, 1.0, 0.0]]])
    maps[0] *= 1e-9
    np.testing.assert_allclose(similarity_to_others(maps, np.array([0, 0, 1])), [1, 1, np.nan])
