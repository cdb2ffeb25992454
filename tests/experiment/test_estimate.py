"""``aopc estimate``: time and memory of an evaluation, before it is run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aopc.data.dataset import Dataset
from aopc.experiment.conditions import curves_under
from aopc.experiment.estimate import (
    CurveCost,
    Estimate,
    calibrate_curves,
    duration,
    estimate,
    forwards,
)
from aopc.experiment.subject import Subject
from aopc.models.network import Network
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import CONDITIONS, Protocol
from conftest import small_network
from pets import Counter, evaluation_of, options, run, said, write_pets


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("inputs"))


def test_estimate_says_time_and_memory_and_writes_nothing(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = options(inputs)
    assert run(monkeypatch, *given, command="estimate") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("3 images, ")
    assert "in all: " in printed
    assert "memory: " in printed
    assert not list(tmp_path.iterdir())
    assert run(monkeypatch, *given, "--dtype", "float23", command="estimate") == 2
    (line,) = said(capsys)
    assert "did you mean 'float32'" in line


def test_conditions_count_as_the_work_that_they_are(inputs: Path) -> None:
    """Forwards are those that the curves of the result say they took, but for the whole images."""
    job = evaluation_of(inputs, Counter())
    alone = estimate(job, seconds=0.1)
    # 5 images × 10 steps: two explainers with 2 repeats each, 2 random orders.
    assert alone.forwards == 5 * 10 * (2 + 2 + 2)
    more = replace(job, conditions=[CONDITIONS[c] for c in ("lerf", "mean", "spatial")])
    assert estimate(more, seconds=0.1).forwards == 5 * 10 * (6 + 4 + 6 + 4)


def test_cost_is_linear() -> None:
    cost, protocol = CurveCost(per_order=0.5, per_forward=0.01), Protocol(2, 10, 3, 5)
    explainers = ["sensitivity-l2", "random"]
    # 3 repeats of one order; 5 random orders, rounded up to 6.
    assert forwards(7, protocol, explainers) == 7 * 10 * (3 + 6)
    assert cost.seconds(7, protocol, explainers) == pytest.approx(7 * 0.5 * 2 + 0.01 * 630)
    both = replace(protocol, orders=("morf", "lerf"))
    assert forwards(7, both, explainers) == 7 * 10 * (6 + 6)


def small_subject(count: int = 4) -> Subject:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 13, 13, 3), np.uint8)
    images = Dataset(pixels, None, tuple("abcdef"[:count]), ())
    network = Network(small_network(), Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0))
    return Subject("pets", network, images, np.zeros(count, np.int64))


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(3, 5, 2, 3),
        Protocol(3, 5, 3, 1, orders=("morf", "lerf")),
        Protocol(3, 4, 2, places=3),
    ],
    ids=["morf", "both orders", "places"],
)
def test_forwards_are_counted_as_the_engine_counts_them(protocol: Protocol) -> None:
    subject, names = small_subject(3), ["a", RANDOM]
    maps = {"a": subject.pixels(slice(0, 3)).sum(1).numpy()}
    curves = curves_under(protocol, subject, slice(0, 3), names, maps)
    per_explainer = {n: sum(c.logits[:, :, 1:].size for c in curves[n].values()) for n in names}
    assert sum(per_explainer.values()) == forwards(3, protocol, names)
    for name, seen in per_explainer.items():
        assert seen == 3 * protocol.steps * protocol.trajectories(name)


def test_the_text_adds_up() -> None:
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

    def run(self, protocol: Protocol, *others: object) -> None:
        self.now += self.told.pop(0) if self.told else self.fixed + self.step * protocol.steps


def calibrated(monkeypatch: pytest.MonkeyPatch, clock: Clock, steps: int) -> CurveCost:
    monkeypatch.setattr("aopc.experiment.estimate.time", clock)
    monkeypatch.setattr("aopc.experiment.estimate.curves_under", clock.run)
    return calibrate_curves(small_subject(), Protocol(3, steps, 2, 3))


@pytest.mark.parametrize("steps", [2, 3, 20, 100])
def test_calibration_finds_a_known_cost(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    cost = calibrated(monkeypatch, Clock(fixed=0.5, step=0.08), steps)
    assert cost.per_order == pytest.approx(0.5 / 4)
    assert cost.per_forward == pytest.approx(0.08 / (4 * 2))


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_a_job_too_small_to_be_timed_costs_something(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """A pause of the machine in the short runs: the longer run is not the slower one."""
    cost = calibrated(monkeypatch, Clock(0.0, 0.001, told=(0.1, 0.1, 0.1)), steps)
    assert cost.per_order == 0
    assert cost.per_forward == pytest.approx(0.001 / (4 * 2))


def test_calibration_measures_the_engine() -> None:
    cost = calibrate_curves(small_subject(), Protocol(3, 20, 2, 3), seconds=0.2)
    assert 0 < cost.per_forward < 1
    assert 0 <= cost.per_order < 10
