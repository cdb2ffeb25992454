"""What the user is told of a network that does not fit, and what a changed helper module makes invalid."""

import sys
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.base.errors import ResultWarning
from aopc.experiment.evaluate import Evaluation, evaluate
from aopc.experiment.explaining import HeatmapWork
from aopc.experiment.job import Job
from aopc.experiment.store import HEATMAPS, read_curves, renew
from aopc.models.network import Network
from aopc.perturbation.protocol import MAIN, Condition
from pets import CLASSES, Counter, evaluation_of, options, run, said, write_pets


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("inputs"))


class Biased(nn.Module):
    """Counter's scores, and one class that is always ahead."""

    def __init__(self, ahead: int) -> None:
        super().__init__()
        self.inner, self.ahead = Counter(), ahead

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 10 * nn.functional.one_hot(torch.tensor(self.ahead), CLASSES)


def labelled(inputs: Path, model: nn.Module, **changes: object) -> Evaluation:
    found = evaluation_of(inputs, model)
    network = replace(found.network, class_names=("cat", "dog", "fox", "owl"), **changes)
    return replace(found, network=network, explainers=["sensitivity-l2"])


def test_an_accuracy_of_guessing_is_said_loudly(inputs: Path, tmp_path: Path) -> None:
    with pytest.warns(ResultWarning, match="only 0 of 5 images are recognised"):
        outcome = evaluate(labelled(inputs, Biased(3)), tmp_path / "owls")
    assert outcome.accuracy == 0
    assert (tmp_path / "owls" / "warnings.txt").read_text() == outcome.warnings[0] + "\n"
    outcome = evaluate(labelled(inputs, Biased(1)), tmp_path / "dogs")  # three of five are
    assert outcome.accuracy == 0.6
    assert outcome.warnings == []
    assert not (tmp_path / "dogs" / "warnings.txt").exists()


def test_probabilities_are_said_once_and_recorded_as_such_on_demand(inputs: Path, tmp_path: Path) -> None:
    plain = Counter().eval()
    model = nn.Sequential(plain, nn.Softmax(1))
    with pytest.warns(ResultWarning, match="are probabilities"):
        outcome = evaluate(labelled(inputs, model), tmp_path / "wrong")
    assert ["are probabilities" in w for w in outcome.warnings].count(True) == 1
    assert not any("are probabilities" in w for w in evaluate(
        labelled(inputs, model, output="probabilities"), tmp_path / "right").warnings)  # fmt: skip
    evaluate(labelled(inputs, plain), tmp_path / "plain")
    read = {n: read_curves(tmp_path / n / "curves" / "random.parquet")["random"] for n in ("right", "plain", "wrong")}
    np.testing.assert_allclose(read["right"].probabilities, read["plain"].probabilities, rtol=1e-5)
    np.testing.assert_allclose(read["right"].logits, np.log(read["plain"].probabilities), atol=1e-5)
    assert np.abs(read["wrong"].probabilities - read["plain"].probabilities).max() > 0.001


def test_the_command_says_what_it_takes_outputs_for(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for output, message in (("probabilities", "are no probabilities"), ("softmax", "unknown output 'softmax'")):
        assert run(monkeypatch, *options(inputs, tmp_path / "out", output=output)) == 2
        (line,) = said(capsys)
        assert message in line
    assert not list(tmp_path.iterdir())


def test_one_output_is_refused(inputs: Path, tmp_path: Path) -> None:
    model = nn.Sequential(Counter(), nn.Linear(CLASSES, 1))
    with pytest.raises(aopc.InputError, match="the model has one output"):
        evaluate(replace(evaluation_of(inputs, model), explainers=["sensitivity-l2"]), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def write_module(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    for name in ("helped", "helper", "helpers_helper"):
        sys.modules.pop(name, None)
    invalidate_caches()


HELPED = "from helper import scaled\ndef explain(model, images, targets):\n    return scaled(images.sum(1))\n"
HELPER = "from helpers_helper import SCALE\ndef scaled(maps):\n    return maps * SCALE\n"


def test_a_helper_two_imports_away_makes_heatmaps_and_curves_invalid(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    evaluation = replace(evaluation_of(inputs, Counter()), explainers=["helped:explain"])
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    maps, used, identities = [], [], []
    try:
        for scale in ("1", "-1"):
            write_module(tmp_path, helped=HELPED, helper=HELPER, helpers_helper=f"SCALE = {scale}\n")
            subject = evaluation.subject(evaluation.image_ids)
            work = HeatmapWork(subject, evaluation.explainers, 3)
            job = Job(subject, evaluation.protocol, [(Condition(MAIN), evaluation.explainers)], 3)
            for expected in (1, 0):
                done = renew(work, HEATMAPS, lambda _: tmp_path / "h" / HEATMAPS, lambda _: {}, tmp_path / "parts")
                assert len(done) == expected
            maps.append(np.load(tmp_path / "h" / HEATMAPS))
            used.append(evaluation.used()["explainers"])
            identities.append(job.identity(job.units[0]))
    finally:
        sys.dont_write_bytecode = before
        write_module(tmp_path)
    np.testing.assert_array_equal(maps[0], -maps[1])
    assert used[0] != used[1]
    assert identities[0] != identities[1]


def test_what_is_no_explainer_ends_before_any_work(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_module(tmp_path, helped="import sys\nsys.exit(3)\n", helper="class Explain: pass\ndef one(images): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Network, "inputs", lambda *_: pytest.fail("work"))
    for name, message in (
        ("math:pi", "is no explainer"),
        ("helped:explain", "SystemExit"),
        ("helper:Explain", "is a class"),
        ("helper:one", "cannot take three arguments"),
        ("helper:none", "cannot import"),
    ):
        assert run(monkeypatch, *options(inputs, tmp_path / "out", explainers=f"random,{name}")) == 2
        (line,) = said(capsys)
        assert message in line
        assert name in line
    write_module(tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_explainer_that_fails_ends_the_command_in_one_line(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_module(tmp_path, helped="def explain(model, images, targets):\n    return images.nothing\n")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *options(inputs, tmp_path / "out", explainers="helped:explain")) == 2
    (line,) = said(capsys)
    assert "the explainer 'helped:explain' failed: AttributeError: 'Tensor' object has no attribute 'nothing'" in line
    write_module(tmp_path)
    assert not (tmp_path / "out").exists()
