"""Variance components, the stopping rule and its coverage."""

import numpy as np
import pytest

import aopc
from aopc.measures.statistics.stopping import StoppingRule, VarianceComponents, variance_components


def test_variance_components_are_unbiased() -> None:
    """Known components, 400 data sets of 30 images × 3 repeats, to five standard errors."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(400):
        image = random.normal(scale=2.0, size=(30, 1))
        found.append(variance_components(1 + image + random.normal(scale=3.0, size=(30, 3))))
    for values, truth in (([c.images for c in found], 4.0), ([c.noise for c in found], 9.0)):
        assert np.mean(values) == pytest.approx(truth, abs=5 * np.std(values) / 20)


def test_half_width_is_that_of_the_sample() -> None:
    """With the repeats that were measured it is Student's interval of the images' means."""
    values = np.random.default_rng(1).normal(size=(25, 4)) + np.arange(25)[:, None]
    interval = variance_components(values).half_width(25, 4)
    means = values.mean(axis=1)
    assert interval == pytest.approx(2.0639 * means.std(ddof=1) / 5, rel=1e-4)


def test_repeats_and_images_narrow_the_interval_as_they_must() -> None:
    components = VarianceComponents(images=4.0, noise=2.0)
    assert components.half_width(101, 10_000) == pytest.approx(1.984 * 2 / 101**0.5, rel=1e-3)
    assert components.half_width(400, 1) / components.half_width(100, 1) == pytest.approx(0.5, rel=0.02)
    # At a fixed time n (c + r), the best r is a minimum.
    cost = 8.0
    best = components.best_repeats(cost)
    assert best == pytest.approx(2.0)
    variance = [(4 + 2 / r) * (cost + r) for r in (best - 0.5, best, best + 0.5)]
    assert min(variance) == variance[1]
    assert VarianceComponents(0.0, 1.0).best_repeats(1.0) == np.inf


@pytest.mark.parametrize("bad", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, np.nan], [2.0, 1.0]], [1.0]])
def test_too_little_for_components_is_said(bad: list) -> None:
    with pytest.raises(aopc.InputError, match="two images and two repeats"):
        variance_components(bad)


def test_the_rule_waits_for_the_widest_and_leaves_nan_out() -> None:
    rule = StoppingRule(0.5)
    narrow, wide = np.random.default_rng(0).normal(scale=[0.1, 5.0], size=(100, 2)).T
    assert rule.is_met(narrow[:, None])
    assert not rule.is_met(narrow[:40, None])
    assert not rule.is_met(np.stack([narrow, wide], axis=1))
    holes = np.where(np.arange(100) < 5, np.nan, narrow)[:, None]
    assert rule.half_widths(holes)[0] == pytest.approx(rule.half_widths(narrow[5:, None])[0])
    assert not rule.is_met(np.full((80, 1), np.nan))
    assert not rule.is_met(np.where(np.arange(80) < 2, 1.0, np.nan)[:, None])
    with pytest.raises(aopc.InputError, match=r"positive number|must be a number"):
        StoppingRule(0.0)


def test_variance_components_by_hand() -> None:
    """Two images, 1 3 and 5 7: variance 2 between repeats; of the means 2 and 6 it is 8, of which 2/2 is noise."""
    assert variance_components([[1.0, 3.0], [5.0, 7.0]]) == VarianceComponents(images=7.0, noise=2.0)
    # Three repeats: variance 1 between them, 0 between the means, of which 1/3 is noise.
    assert variance_components([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]]) == VarianceComponents(images=-1 / 3, noise=1.0)


def test_half_width_by_hand() -> None:
    """t for 0.975 with 3 degrees of freedom is 3.1824; a negative component counts as none."""
    assert VarianceComponents(9.0, 14.0).half_width(4, 2) == pytest.approx(3.182446 * (16 / 4) ** 0.5, rel=1e-6)
    assert VarianceComponents(-5.0, 4.0).half_width(4, 1) == pytest.approx(3.182446, rel=1e-6)
    assert VarianceComponents(-5.0, 4.0).best_repeats(3.0) == np.inf
    assert VarianceComponents(0.5, 4.0).best_repeats(2.0) == pytest.approx(4.0)


def test_the_rule_is_the_documented_one() -> None:
    """Five images, two explainers: t₄ = 2.7764, s² (1 + 10/5) / 5; one image has no width."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    differences = np.stack([values, 2 * values, [1.0, 2.0, np.nan, np.nan, np.nan], [1.0, *[np.nan] * 4]], axis=1)
    expected = 2.776445 * np.sqrt(2.5 * 3 / 5)
    two = 12.706205 * np.sqrt(0.5 * (1 + 10 / 2) / 2)
    found = StoppingRule(1.0).half_widths(differences)
    np.testing.assert_allclose(found, [expected, 2 * expected, two, np.inf], rtol=1e-6)
    less_cautious = StoppingRule(1.0, caution=5).half_widths(differences[:, :1])
    np.testing.assert_allclose(less_cautious, 2.776445 * np.sqrt(2.5 * 2 / 5), rtol=1e-6)
    rule = StoppingRule(1.0)
    assert (rule.every, rule.least, rule.caution) == (20, 60, 10)


def test_the_rule_is_met_at_the_least_number_and_at_the_tolerance() -> None:
    values = np.random.default_rng(0).normal(scale=0.01, size=(60, 2))
    assert StoppingRule(0.5).is_met(values)
    assert not StoppingRule(0.5).is_met(values[:59])
    assert not StoppingRule(0.5).is_met(np.where(np.arange(120).reshape(60, 2) == 7, np.nan, values))
    width = float(StoppingRule(1.0).half_widths(values[:, :1])[0])
    assert StoppingRule(width).is_met(values[:, :1])
    assert not StoppingRule(np.nextafter(width, 0)).is_met(values[:, :1])


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.inf, np.nan])
def test_impossible_tolerances_are_said(tolerance: float) -> None:
    with pytest.raises(aopc.InputError, match=r"positive number|must be a number"):
        StoppingRule(tolerance)


@pytest.mark.parametrize("shape", ["normal", "exponential", "student", "two groups"])
@pytest.mark.parametrize("images", [40, 100, 300])
def test_the_stopped_interval_covers(shape: str, images: int) -> None:
    """Mean ± tolerance holds the truth in 94 % of runs or more: 2000 runs, less two standard errors."""
    random = np.random.default_rng(images)
    runs, most = 2000, 900
    values = {
        "normal": lambda s: random.normal(size=s),
        "exponential": lambda s: random.exponential(size=s) - 1,
        "student": lambda s: random.standard_t(4, size=s) / 2**0.5,
        "two groups": lambda s: (random.random(s) < 0.2) * 2.5 - 0.5,
    }[shape]((runs, most))
    rule = StoppingRule(1.96 / images**0.5)
    held, used = [], []
    for run in values:
        n = next((n for n in range(rule.every, most + 1, rule.every) if rule.is_met(run[:n, None])), most)
        held.append(abs(run[:n].mean()) <= rule.tolerance)
        used.append(n)
    assert np.mean(held) >= 0.94 - 2 * (0.05 * 0.95 / runs) ** 0.5
    # And it is not bought with many more images than a fixed number would need.
    assert np.mean(used) <= max(images, rule.least) * 1.15 + 2 * rule.every


def test_what_is_no_array_of_differences_is_refused() -> None:
    for differences, said in (
        ([["a", "b"], ["c", "d"]], "differences must be numbers"),
        ([1.0, 2.0], r"two images and two repeats at least; got shape \(2,\)"),
        ([[1.0, 2.0]], r"got shape \(1, 2\)"),
        ([[1.0], [2.0]], r"got shape \(2, 1\)"),
        ([[1.0, np.nan], [2.0, 3.0]], "need finite differences"),
    ):
        with pytest.raises(aopc.InputError, match=said):
            variance_components(differences)
    variance_components([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(aopc.InputError, match="the tolerance must be a number"):
        StoppingRule("a")  # type: ignore[arg-type]
