"""Whether a run is its profile's own, or a variant, and that a variant is marked and keeps off the README."""

import copy
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from aopc.base.errors import InputError
from aopc.cli import main
from aopc.paper.params import read_params
from aopc.paper.readme import BEGIN, END, is_marked, marked
from aopc.paper.stages.publish import README
from aopc.paper.variant import FEW, PUBLISHED, Change, Variant, adopt, variant_of
from pipeline import ROOT

OWN = read_params(ROOT / "params.yaml")


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that publishes the default's parameters, without git."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "commit both" in adopt(OWN)
    return tmp_path


def changed(*path: str, value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(OWN)
    section = whole
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return whole


def test_the_profiles_own_parameters_are_no_variant(profile: Path) -> None:
    assert variant_of(OWN) == Variant(())
    assert not variant_of(json.loads(json.dumps(OWN)))
    assert not variant_of(dict(reversed(OWN.items())))


@pytest.mark.parametrize(
    ("params", "said", "option"),
    [
        (changed("limit", value=10), "limit: null → 10", "limit=10"),
        (changed("seed", value=1), "seed: 0 → 1", "seed=1"),
        (changed("perturbation", "removal", value="blur"), "perturbation.removal: uniform → blur", None),
        (changed("perturbation", "orders", value=["lerf"]), 'perturbation.orders: ["morf"] → ["lerf"]', None),
        (changed("perturbation", "dtype", value="tf32"), "perturbation.dtype: not set → tf32", None),
        (changed("controls", "lerf", value=1), "controls.lerf: true → 1", "controls.lerf=1"),
        (changed("package", value="src/other"), "package: src/aopc → src/other", None),
        (changed("complexity", value={}), "complexity.rendering: minmax → not set; complexity: not set → {}", None),
    ],
)
def test_every_other_setting_makes_a_variant(
    profile: Path, params: dict[str, Any], said: str, option: str | None
) -> None:
    found = variant_of(params)
    assert found
    assert str(found) == said
    assert option is None or found.command == f"dvc exp run -S {option}"


def test_the_order_of_panels_counts_and_can_be_said(profile: Path) -> None:
    params = {**OWN, "panels": dict(reversed(OWN["panels"].items()))}
    assert str(variant_of(params)).startswith('order of panels: ["objects", ')


def test_few_of_many_changes_are_named_where_there_is_little_room() -> None:
    many = Variant(tuple(Change(f"k{i}", "1", "2") for i in range(FEW + 2)))
    assert many.brief.endswith("k2: 1 → 2 and 2 more")
    assert str(many).count("→") == FEW + 2
    added = Variant((Change("a.b", None, '"x y"'), Change("c", "1", None)))
    assert added.command == "dvc exp run -S '+a.b=\"x y\"' -S '~c'"


def test_a_section_that_is_gone_goes_as_a_whole(profile: Path) -> None:
    """Its settings one by one would leave an empty section behind, which is refused."""
    emptied, lacking = changed("checkpoints", value={}), copy.deepcopy(OWN)
    assert variant_of(emptied).command == "dvc exp run -S '~checkpoints.objects'"
    del lacking["panels"]["digits"]
    lacking["seed"] = 1
    assert variant_of(lacking).command == "dvc exp run -S '~panels.digits' -S seed=1"
    assert variant_of(changed("complexity", value={})).command == "dvc exp run -S '~complexity.rendering'"


def test_the_last_commit_stands_in_where_nothing_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not variant_of(OWN)  # nothing to be a variant of
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(OWN, sort_keys=False))
    subprocess.run(["git", "init", "-q"], check=True)
    assert not variant_of(changed("limit", value=10))
    subprocess.run([*git, "add", "params.yaml"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed("limit", value=10)))
    assert not variant_of(OWN)
    assert str(variant_of(changed("limit", value=10))) == "limit: null → 10"


def test_a_copy_of_a_profile_is_a_profile_of_its_own(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = profile / "profiles" / "mine"
    (mine / "reports").mkdir(parents=True)
    (mine / PUBLISHED).write_bytes((profile / PUBLISHED).read_bytes())
    monkeypatch.chdir(mine)
    assert not variant_of(changed("limit", value=10))
    adopt(changed("limit", value=10))
    assert str(variant_of(OWN)) == "limit: 10 → null"


def test_adopt_is_a_command(profile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (profile / "mine").mkdir()
    (profile / "mine" / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for where, status in (("mine", 0), ("nowhere", 2), ("reports", 2)):
        monkeypatch.setattr(sys, "argv", ["aopc", "adopt", where])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == status
        said = capsys.readouterr()
        assert len((said.out + said.err).splitlines()) == 1
    assert json.loads((profile / "mine" / PUBLISHED).read_text()) == {"profile": "mine", "parameters": OWN}
    assert [p.name for p in (profile / "reports").iterdir()] == [PUBLISHED.name]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"profile": "default"}', '{"profile": "default", "parameters": 3}']
)
def test_what_is_published_but_cannot_be_read_is_said(profile: Path, content: str) -> None:
    (profile / PUBLISHED).write_text(content)
    with pytest.raises(InputError, match="the parameters that this profile publishes"):
        variant_of(OWN)


@pytest.mark.parametrize("of", ["own", "settings", "table"])
def test_a_variant_never_writes_the_readme(
    profile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], of: str
) -> None:
    """Neither where its settings say so, nor where only its table does, published by hand after the settings changed."""
    before = f"text\n{BEGIN}old\n{END}"
    README_FILE = profile / README
    README_FILE.write_text(before)
    params = changed("limit", value=10) if of == "settings" else OWN
    table = marked("new\n", "a variant of it") if of == "table" else "new\n"
    assert is_marked(table) == (of == "table")
    (profile / "reports" / "results.md").write_text(table)
    (profile / "reports" / "metrics.json").write_text("{}")
    stage = import_module("aopc.paper.stages.publish")
    monkeypatch.setattr(stage, "log_pending", lambda *arguments: "logged")
    monkeypatch.setattr(stage, "publish_page", lambda *arguments: "page")
    run, settings = type("Run", (), {})(), type("Settings", (), {"raw": params})()
    stage.work(run, settings)
    said = capsys.readouterr().out
    assert README_FILE.read_text() == (before if of != "own" else before.replace("old", "new"))
    assert ("README.md stays as it is" in said) == (of != "own")
    assert ("limit: null → 10" in said) == (of == "settings")
