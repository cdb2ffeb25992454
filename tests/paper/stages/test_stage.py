"""A stage: one module, short enough to be read at a glance, with clean errors and a note of its run."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from aopc.base.errors import InputError
from aopc.base.imports import PACKAGE, reached
from aopc.paper.stages import STAGES
from aopc.paper.stages.stage import run_stage
from pipeline import ROOT

FOLDER = PACKAGE / "paper" / "stages"


@pytest.mark.parametrize("module", STAGES)
def test_a_stage_is_at_most_forty_lines(module: str) -> None:
    lines = (FOLDER / f"{module}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith(f'"""Stage ``{STAGES[module]}``: ')


def test_every_module_is_a_stage() -> None:
    others = {"__init__", "__main__", "stage"}
    assert {p.stem for p in FOLDER.glob("*.py")} - others == set(STAGES)


#: The stages that compute with a network.
WITH_TORCH = {"prepare", "predict", "explain", "perturb", "control", "compare", "follow"}


@pytest.mark.parametrize("module", STAGES)
def test_only_stages_that_run_a_network_import_torch(module: str) -> None:
    text = "".join(
        (PACKAGE / file).read_text() for file in reached(f"aopc.paper.stages.{module}") if file.endswith(".py")
    )
    assert ("\nimport torch\n" in text) == (module in WITH_TORCH)


@pytest.mark.parametrize(
    ("error", "status", "noted", "said"),
    [
        (None, 0, "FINISHED", ""),
        (InputError("first", "second"), 2, "FAILED", "aopc: first\naopc: second\n"),
        (
            KeyboardInterrupt(),
            130,
            "KILLED",
            "aopc: interrupted; what is finished is kept, and the same command goes on from there\n",
        ),
        (
            MemoryError(),
            2,
            "FAILED",
            "aopc: memory ran out: give a smaller --batch-size, or less at once; what is finished is kept\n",
        ),
        (OSError(28, "No space left on device", "x"), 2, "FAILED", "aopc: No space left on device: x\n"),
    ],
)
def test_what_becomes_of_a_stage_is_noted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    status: int,
    noted: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    given: list[Any] = []

    def work(run: Any, settings: Any, panel: str) -> None:
        given.append((settings.seed, panel))
        run.params["panel"] = panel
        if error is not None:
            raise error

    monkeypatch.setattr(import_module("aopc.paper.stages.explain"), "work", work)
    assert run_stage(["explain"], ["digits"]) == status
    assert given == [(0, "digits")]
    assert capsys.readouterr().err == said
    note = _note(tmp_path)
    assert (note["name"], note["status"]) == ("heatmaps@digits", noted)
    assert note["params"] == {"panel": "digits"}


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("gather", "params.yaml: datasets has no 'digts': did you mean 'digits'?"),
        ("prepare", "params.yaml: networks has no 'digts': did you mean 'digits'?"),
        ("explain", "params.yaml: panels has no 'digts': did you mean 'digits'?"),
    ],
)
def test_an_item_that_params_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert run_stage([stage], ["digts"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_bug_is_noted_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())

    def work(run: Any, settings: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(import_module("aopc.paper.stages.decide"), "work", work)
    with pytest.raises(ZeroDivisionError):
        run_stage(["decide"], [])
    assert _note(tmp_path)["status"] == "FAILED"


def _note(folder: Path) -> dict[str, Any]:
    (path,) = (folder / ".cache" / "pending").glob("[0-9]*.json")
    return json.loads(path.read_text())


def test_the_names_of_stages_are_those_of_dvc() -> None:
    """MLflow's runs, and the page's links to them, are found by DVC's names."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert list(STAGES.values()) == list(stages)
