"""The command ``aopc``: its options, and how it says what is wrong with them and with the files."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aopc.base.errors import InputError
from aopc.explainers.registry import EXPLAINERS
from aopc.perturbation.protocol import CONDITIONS, Protocol
from caffe_files import write_network
from pets import options, run, said, write_pets


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"explainers": "lrp-epsilon-10"}, "did you mean 'lrp-epsilon-100'"),
        ({"model": "squeezenet1_9"}, "did you mean 'squeezenet1_"),
        ({"model": "squeezenet1_0"}, "do not fit the architecture squeezenet1_0"),
        ({"weights": "none.pt"}, "no weights file"),
        ({"images": "none"}, "no folder"),
        ({"region_size": "225"}, "larger than the image"),
        ({"steps": "626"}, "between 1 and the number of regions, 625"),
        ({"limit": "2"}, "not both"),
        ({"first": "0"}, "at least 1"),
        ({"removal": "blurr"}, "did you mean 'blur'"),
        ({"preprocessing": "cafe"}, "did you mean 'caffe'"),
        ({"device": "abacus"}, "cannot use the device"),
        ({"random_orders": "0"}, "at least 1"),
        ({"repeats": "0"}, "at least 1"),
        ({"protocol": "samek2017"}, "did you mean 'samek2016'"),
        ({"conditions": "lerf,morf"}, "'morf' is the main experiment itself"),
        ({"conditions": "lerf,dropuot"}, "did you mean 'dropout'"),
        ({"conditions": "nowhere:fill"}, "cannot import the removal 'nowhere:fill'"),
        ({"dtype": "float23"}, "did you mean 'float32'"),
        ({"tolerance": "0"}, "the tolerance must be a positive number"),
        ({"conditions": "dropout"}, "no dropout layers"),
    ],
)
def test_bad_options_end_in_one_line(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if changes.get("conditions") == "dropout":
        changes = {**changes, **_without_dropout(inputs)}
    assert run(monkeypatch, *options(inputs, tmp_path / "out", **changes)) == 2
    (line,) = said(capsys)
    assert message in line
    assert list(tmp_path.iterdir()) == []


def _without_dropout(inputs: Path) -> dict[str, str]:
    """Options of a network that has no dropout."""
    from torchvision.models import shufflenet_v2_x0_5

    weights = inputs / "shufflenet.pt"
    torch.save(shufflenet_v2_x0_5(num_classes=4).state_dict(), weights)
    return {"model": "shufflenet_v2_x0_5", "weights": str(weights), "explainers": "sensitivity-l2"}


@pytest.mark.parametrize(
    ("command", "option", "value", "new"),
    [
        ("evaluate", "--precision", "0.1", "--tolerance"),
        ("evaluate", "--arithmetic", "bfloat16", "--dtype"),
        ("estimate", "--arithmetic", "bfloat16", "--dtype"),
    ],
)
def test_former_options_are_refused_with_their_new_names(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    option: str,
    value: str,
    new: str,
) -> None:
    given = options(inputs, tmp_path / "out" if command == "evaluate" else None)
    assert run(monkeypatch, *given, option, value, command=command) == 2
    assert said(capsys) == [f"aopc: the option {option} is called {new} now"]
    assert list(tmp_path.iterdir()) == []
    # Nobody is told of them who does not use them.
    assert run(monkeypatch, "--help", command=command) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"{new}\b", shown)
    assert not re.search(rf"{option}\b", shown)


def _broken_image(root: Path) -> None:
    (root / "pets" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")


def _short_class_list(root: Path) -> None:
    (root / "classes.txt").write_text("cat\ndog\n")


def _nan_weights(root: Path) -> None:
    state = torch.load(root / "weights.pt", weights_only=True)
    state["classifier.1.bias"][:] = torch.nan
    torch.save(state, root / "weights.pt")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_broken_image, "cannot read the image"),
        (_short_class_list, "class list has 2 classes, but the model has 4 outputs"),
        (_nan_weights, "model's output is NaN"),
    ],
)
def test_bad_files_end_in_one_line(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    root = tmp_path / "inputs"
    shutil.copytree(inputs, root)
    spoil(root)
    assert run(monkeypatch, *options(root, tmp_path / "out")) == 2
    (line,) = said(capsys)
    assert message in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inputs"]


def test_users_explainer_by_dotted_path(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def edges(model, images, targets):\n    return images.std(1)\n")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    arguments = options(inputs, out, explainers="mine:edges")
    assert run(monkeypatch, *arguments, "--lerf") == 0
    metrics = json.loads((out / "metrics.json").read_text())["pets"]
    assert set(metrics) == {"mine:edges", "random"}
    assert "abpc" in metrics["mine:edges"]


def test_a_caffemodel_is_evaluated(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aopc.models.network import build

    torch.manual_seed(0)
    weights = write_network(tmp_path / "net.caffemodel", build("alexnet", 3, {}))
    arguments = {
        "--images": str(inputs / "pets"),
        "--model": "alexnet",
        "--weights": str(weights),
        "--explainers": "lrp-alpha2-beta1",
        "--first": "1",
        "--steps": "2",
        "--repeats": "1",
        "--out": str(tmp_path / "out"),
    }
    flat = [part for pair in arguments.items() for part in pair]
    assert run(monkeypatch, *flat) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert run(monkeypatch, *flat, "--preprocessing", "imagenet") == 2
    flat[3] = "caffenet"
    assert run(monkeypatch, *flat) == 2


@pytest.mark.parametrize(
    ("changes", "protocol", "conditions"),
    [
        ({}, {"random_orders": 3}, []),
        ({"repeats": "5"}, {"repeats": 5, "random_orders": 5}, []),
        (
            {"random_orders": "2", "dtype": "bfloat16"},
            {"random_orders": 2, "dtype": "bfloat16"},
            [],
        ),
        ({"removal": "mean", "seed": "7"}, {"removal": "mean", "seed": 7, "random_orders": 3}, []),
        ({"conditions": "lerf,mean,lerf"}, {"random_orders": 3}, ["lerf", "mean"]),
        (
            {"protocol": "tnnls2017"},
            {"random_orders": 3, "orders": ("morf", "lerf")},
            ["dirichlet", "mean", "blur"],
        ),
        # What is named takes the place of the protocol's own.
        (
            {"protocol": "tnnls2017", "conditions": "spatial"},
            {"random_orders": 3, "orders": ("morf", "lerf")},
            ["spatial"],
        ),
    ],
)
def test_options_become_a_protocol_and_conditions(
    inputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    protocol: dict[str, Any],
    conditions: list[str],
) -> None:
    asked: list[Any] = []

    class Silent:
        def text(self) -> str:
            return ""

    def estimated(evaluation: Any) -> Silent:
        asked.append(evaluation)
        return Silent()

    monkeypatch.setattr("aopc.experiment.estimate.estimate", estimated)
    assert run(monkeypatch, *options(inputs, **changes), command="estimate") == 0
    (evaluation,) = asked
    assert evaluation.protocol == Protocol(**{"steps": 3, "repeats": 1, **protocol})
    assert list(evaluation.conditions) == [CONDITIONS[name] for name in conditions]
    assert evaluation.tolerance is None


def test_without_options_it_is_the_papers_protocol(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Region size 9, 100 steps, 10 repeats (Samek et al., III.B), as the options' texts say."""
    asked: list[Any] = []

    def evaluated(evaluation: Any, out: Path) -> None:
        asked.append(evaluation)
        raise InputError("seen")

    monkeypatch.setattr("aopc.experiment.evaluate.evaluate", evaluated)
    needed = {
        "--images": inputs / "pets",
        "--model": "squeezenet1_1",
        "--weights": inputs / "weights.pt",
    }
    assert run(monkeypatch, *[part for pair in needed.items() for part in pair]) == 2
    assert asked[0].protocol == Protocol(9, 100, 10, 10, "uniform", 0)
    assert (asked[0].name, len(asked[0].folder)) == ("pets", 5)
    assert asked[0].names == list(EXPLAINERS)
