"""Variance components, the stopping rule and its coverage, and the estimate of a job's time."""

import numpy as np
import pytest
import torch

import aopc
from aopc.experiment.estimate import CurveCost, Estimate, calibrate_curves, duration, forwards, trajectories
from aopc.explainers import RANDOM
from aopc.measures.statistics.stopping import StoppingRule, VarianceComponents, variance_components
from aopc.perturbation.removal import ValueRange
from aopc.perturbation.protocol import Protocol
from conftest import small_network


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
    assert components.half_width(400, 1) / components.half_width(100, 1) == pytest.approx(
        0.5, rel=0.02
    )
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


@pytest.mark.parametrize("shape", ["normal", "exponential", "student", "two groups"])
@pytest.mark.parametrize("images", [40, 100, 300])
def test_the_stopped_interval_covers(shape: str, images: int) -> None:
    """Mean ± precision holds the truth in 94 % of runs or more: 2000 runs, less two standard errors."""
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
        n = next(
            (n for n in range(rule.every, most + 1, rule.every) if rule.is_met(run[:n, None])), most
        )
        held.append(abs(run[:n].mean()) <= rule.precision)
        used.append(n)
    assert np.mean(held) >= 0.94 - 2 * (0.05 * 0.95 / runs) ** 0.5
    # And it is not bought with many more images than a fixed number would need.
    assert np.mean(used) <= max(images, rule.least) * 1.15 + 2 * rule.every


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
    with pytest.raises(aopc.InputError, match="positive number"):
        StoppingRule(0.0)


def protocol(**changes: object) -> Protocol:
    settings = dict(region_size=3, steps=5, repeats=2, random_orders=3, removal="uniform", seed=0)
    return Protocol(**settings | changes)  # type: ignore[arg-type]


def test_forwards_are_counted_as_the_engine_counts_them() -> None:
    model, x = small_network(), torch.randn(3, 3, 13, 13)
    for settings in (protocol(), protocol(orders=("morf", "lerf"), repeats=3, random_orders=1)):
        from aopc.perturbation.protocol import curves_of

        maps = {"a": x.sum(1).numpy(), RANDOM: None}
        values = ValueRange((-1.0,) * 3, (1.0,) * 3)
        curves = curves_of(maps, model, x, np.zeros(3, np.int64), list("abc"), settings, values)
        seen = sum(c.logits[:, :, 1:].size for found in curves.values() for c in found.values())
        assert seen == forwards(3, settings, list(maps))
        assert trajectories(settings, RANDOM) == curves[RANDOM]["random"].logits.shape[1]


def test_the_cost_is_linear_and_adds_up() -> None:
    cost = CurveCost(per_order=0.5, per_forward=0.01)
    assert cost.seconds(10, protocol(), ["a", RANDOM]) == pytest.approx(
        10 * 0.5 * 2 + 0.01 * 10 * 5 * (2 + 4)
    )
    assert cost.seconds(20, protocol(), ["a"]) == 2 * cost.seconds(10, protocol(), ["a"])
    text = Estimate(10, 300, {"heatmaps": 30.0, "curves": 60.0}, 512.0).text()
    assert "curves: 1.0 minutes" in text
    assert "in all: 1.5 minutes" in text
    assert duration(1.0) == "1.0 seconds"


class Clock:
    """A job that takes ``fixed`` seconds and ``step`` seconds a step, or as long as ``told``."""

    def __init__(self, fixed: float, step: float, told: tuple[float, ...] = ()) -> None:
        self.now, self.fixed, self.step, self.told = 0.0, fixed, step, list(told)

    def perf_counter(self) -> float:
        return self.now

    def run(self, *args: object, **options: object) -> None:
        (settings,) = (a for a in args if isinstance(a, Protocol))
        self.now += self.told.pop(0) if self.told else self.fixed + self.step * settings.steps


def calibrated(monkeypatch: pytest.MonkeyPatch, clock: Clock, steps: int) -> CurveCost:
    monkeypatch.setattr("aopc.experiment.estimate.time", clock)
    monkeypatch.setattr("aopc.experiment.estimate.curves_of", clock.run)
    values = ValueRange((-1.0,) * 3, (1.0,) * 3)
    x = torch.zeros(4, 3, 13, 13)
    return calibrate_curves(small_network(), x, protocol(steps=steps), values)


@pytest.mark.parametrize("steps", [2, 3, 20, 100])
def test_calibration_finds_a_known_cost(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    cost = calibrated(monkeypatch, Clock(fixed=0.5, step=0.08), steps)
    assert cost.per_order == pytest.approx(0.5 / 4)
    assert cost.per_forward == pytest.approx(0.08 / (4 * 2))


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_a_job_too_small_to_be_timed_costs_something(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """A pause of the machine in the short runs: the longer run is not the slower one."""
    cost = calibrated(monkeypatch, Clock(0.0, 0.001, told=(0.1, 0.1, 0.1)), steps)
    assert cost.per_order == 0
    assert cost.per_forward == pytest.approx(0.001 / (4 * 2))


def test_calibration_measures_the_engine() -> None:
    model, x = small_network(), torch.randn(4, 3, 13, 13)
    values = ValueRange((-1.0,) * 3, (1.0,) * 3)
    cost = calibrate_curves(model, x, protocol(steps=20), values, seconds=0.2)
    assert 0 < cost.per_forward < 1
    assert 0 <= cost.per_order < 10
