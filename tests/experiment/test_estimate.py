"""``aopc estimate``: time and memory of an evaluation, before it is run."""

from dataclasses import replace
from pathlib import Path

import pytest

from aopc.experiment.estimate import CurveCost, estimate, forwards
from aopc.perturbation.protocol import CONDITIONS, Protocol
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
