"""dvc.yaml: what it runs is there, and what it watches is what the code reaches."""

from importlib import import_module
from inspect import signature
from pathlib import PurePosixPath

import pytest
import yaml

from aopc.base.imports import PACKAGE, reached
from aopc.paper.pipeline import code_of, with_code
from aopc.paper.stages import STAGES
from pipeline import ROOT

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES_OF_DVC = yaml.safe_load(TEXT)["stages"]


def test_the_code_that_stages_depend_on_is_up_to_date() -> None:
    assert with_code(TEXT) == TEXT, "dvc.yaml lists other code than is imported: run `make pipeline`"


def test_it_can_be_read_from_top_to_bottom() -> None:
    assert len(TEXT.splitlines()) <= 160


def test_every_stage_is_run_by_its_module() -> None:
    assert list(STAGES_OF_DVC) == list(STAGES.values())
    for module, stage in STAGES.items():
        command = STAGES_OF_DVC[stage]["cmd"]
        wanted = list(signature(import_module(f"aopc.paper.stages.{module}").work).parameters)[2:]
        items = [f"${{item.{name}}}" for name in STAGES_OF_DVC[stage].get("matrix", {})]
        assert len(items) == len(wanted)
        assert command.split() == ["python", "-m", "aopc.paper.stages", module, *items]


@pytest.mark.parametrize("module", STAGES)
def test_all_that_a_stage_reaches_is_watched(module: str) -> None:
    """A file is listed itself, or lies below a listed folder; but for __init__.py of other folders, which
    hold a docstring.
    """
    listed = {PurePosixPath(name) for name in code_of(module)}
    files = [PurePosixPath(name) for name in reached(f"aopc.paper.stages.{module}")]
    assert PurePosixPath("paper/stages") / f"{module}.py" in files
    for file in files:
        watched = file in listed or listed & set(file.parents)
        assert watched or file.name == "__init__.py", file
    deps = STAGES_OF_DVC[STAGES[module]]["deps"]
    prefix = "${package}/"
    assert [d.removeprefix(prefix) for d in deps if d.startswith(prefix)] == code_of(module)


@pytest.mark.parametrize("module", STAGES)
def test_what_is_watched_is_there_and_reached(module: str) -> None:
    """No leftover of a file that was renamed, and no folder of which a stage needs nothing."""
    files = reached(f"aopc.paper.stages.{module}")
    for name in code_of(module):
        assert (PACKAGE / name).exists(), name
        assert any(f == name or f.startswith(f"{name}/") for f in files), name


def test_getting_a_data_set_does_not_depend_on_how_it_is_judged() -> None:
    """A change of the engine must not download ImageNet again."""
    for module in ("gather", "prepare"):
        files = reached(f"aopc.paper.stages.{module}")
        for folder in ("engine", "explainers", "experiment", "measures", "figures"):
            assert not [f for f in files if f.startswith(f"{folder}/")]
            assert not [c for c in code_of(module) if c == folder or c.startswith(f"{folder}/")]
    assert not [f for f in reached("aopc.paper.stages.gather") if f.startswith("models/")]


def test_a_list_of_code_is_written_behind_the_data() -> None:
    """Whatever was listed before; other stages and comments stay as they are."""
    stale = TEXT.replace('"${package}/base", ', '"${package}/streams.py", ', 1)
    assert stale != TEXT
    assert with_code(stale) == TEXT
    none = TEXT.replace('deps: ["${package}/base", "${package}/data", ', "deps: [", 1)
    assert with_code(none) == TEXT
