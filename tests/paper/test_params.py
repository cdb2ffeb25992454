"""What users write in params.yaml: all mistakes end in a line each, before any work."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aopc.base.errors import InputError
from aopc.paper.params import read_params, read_settings, settings_of
from aopc.paper.stages import STAGES
from aopc.paper.stages.stage import run_stage
from pipeline import ROOT

PROFILES = [ROOT, *sorted(p.parent for p in (ROOT / "profiles").glob("*/params.yaml"))]


def params() -> dict[str, Any]:
    """Those of the offline default; anchors made sections of their own."""
    return copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text()))


def changed(path: list[Any], value: Any, whole: dict[str, Any] | None = None) -> dict[str, Any]:
    """The parameters with one value changed."""
    whole = params() if whole is None else whole
    section = whole
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return whole


def write(folder: Path, content: dict[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def mistakes(content: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as found:
        settings_of(content)
    return str(found.value).splitlines()


def failing(module: str, items: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a stage says when it fails as a user's mistake makes it."""
    assert run_stage([module], items) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("aopc: ")
    return line


@pytest.mark.parametrize("folder", PROFILES, ids=lambda p: p.name)
def test_the_repositorys_own_are_accepted(folder: Path) -> None:
    assert len(PROFILES) == 4
    found = read_settings(folder / "params.yaml")
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    assert list(found.panels) == list(raw["panels"])
    assert list(found.explainers) == raw["explainers"]
    assert found.perturbation.steps == raw["perturbation"]["steps"]
    for name, panel in raw["panels"].items():
        assert found.protocol(name).region_size == panel["region_size"]
        assert found.titles[name] == panel["title"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["seed"], "abc", "seed must be an integer"),
        (["limit"], "x", "limit must be an integer or null"),
        (["datasets", "digits", "source"], ["digits"], "must be a text"),
        (["datasets", "digits", "source"], "digit", "did you mean 'digits'"),
        (["datasets", "digits", "tests"], {}, "no split 'tests'"),
        (["datasets", "digits", "test"], {"count": 5}, "unknown setting 'count'"),
        (["datasets", "digits", "test"], {"split": "train"}, "unknown setting 'split'"),
        (["datasets", "digits", "test"], None, "must be a section"),
    ],
)
def test_mistakes_in_data_sets_are_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: list[str],
    value: Any,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, changed(path, value))
    assert said in failing("gather", ["digits"], capsys)
    assert not (tmp_path / "data").exists()


LENET = ["networks", "digits", "lenet"]
OF_AN_ITEM = ("gather", "prepare", "explain", "perturb", "control")


@pytest.mark.parametrize(
    ("stage", "path", "value", "said"),
    [
        ("prepare", LENET, None, "must be a section"),
        ("prepare", [*LENET, "architecture"], 5, "architecture must be a text"),
        ("prepare", [*LENET, "architecture"], "digit-lent", "did you mean 'digit-lenet'"),
        ("prepare", [*LENET, "epochs"], 0, "an integer of 1 or more"),
        ("prepare", [*LENET, "batch_size"], 32.5, "must be an integer"),
        ("prepare", [*LENET, "checkpoints"], 5, "a list"),
        ("prepare", [*LENET, "solver"], "one", "must be 'one-cycle' or 'constant'"),
        ("prepare", LENET, {"weights": "x"}, "unknown weights 'x'"),
        ("prepare", LENET, {"weights": "x", "epochs": 1}, "'epochs'"),
        ("prepare", LENET, {"file": "x", "architecture": "resnet18", "preprocessing": "cafe"},
         "did you mean 'caffe'"),
        ("predict", ["panels", "digits", "images"], "4", "must be an integer or null"),
        ("predict", ["panels", "digits", "network"], "digits/none", "wants the network"),
        ("predict", ["panels", "digits", "netwrok"], "a", "did you mean 'network'"),
        ("predict", ["panels", "nowhere"],
         {"network": "digits/lenet", "images": 1, "region_size": 2, "title": "t"},
         "must be a data set"),
        ("explain", ["explainers"], ["lrp-alpha2-beta", "random"], "did you mean 'lrp-alpha2-beta1'"),
        ("explain", ["explainers"], ["lrp-alpha2-beta1"], "explainers lacks random"),
        ("perturb", ["perturbation", "steps"], "5", "perturbation.steps must be an integer"),
        ("perturb", ["perturbation", "repeats"], 0, "an integer of 1 or more"),
        ("perturb", ["perturbation", "orders"], ["lerf"], "AOPC is of MoRF"),
        ("perturb", ["perturbation", "removal"], "blurr", "did you mean 'blur'"),
        ("perturb", ["perturbation", "dtype"], "float23", "'float32' or 'tf32' or 'bfloat16'"),
        ("perturb", ["perturbation", "region_size"], 2, "unknown setting 'region_size'"),
        ("control", ["controls", "removals"], ["meen"], "did you mean 'mean'"),
        ("control", ["controls", "explainers"], ["centre-frist"], "did you mean 'centre-first'"),
        ("control", ["controls", "images"], 0, "1 or more"),
        ("control", ["controls", "place"], 1, "did you mean 'places'"),
        ("measure", ["complexity", "rendering"], "minmx", "did you mean 'minmax'"),
        ("compare", ["digits", "network"], "digits/lenett", "did you mean 'digits/lenet'"),
        ("compare", ["digits", "data_set"], "digit", "did you mean 'digits'"),
        ("follow", ["checkpoints", "objects", "explainer"], "lrp-alpha2", "did you mean 'lrp-alpha2-beta1'"),
        ("follow", ["checkpoints", "objects", "network"], "caffe", "wants the network 'objects/caffe'"),
        ("follow", ["networks", "objects", "caffenet", "checkpoints"], [1, 2], "three checkpoints or more"),
        ("decide", ["panels", "digits", "stands_for"], "sun397", "scenes-shifted and digits both stand for"),
        ("explain", ["explainers"], ["random", "centre-first", "random"], "explainers has random twice"),
        ("control", ["controls", "explainers"], ["image-edges"] * 2, "controls.explainers has image-edges twice"),
        ("prepare", ["networks", "objects", "caffenet", "checkpoints"], [9, 9, 10, 504], "an iteration twice"),
        ("gather", ["datasets", "scenes", "test", "style"], "objects", "objects and scenes show the same images"),
        ("publish", ["panel"], {}, "did you mean 'panels'"),
    ],
)  # fmt: skip
def test_mistakes_stop_a_stage_before_it_begins(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    path: list[str],
    value: Any,
    said: str,
) -> None:
    """One mistake is one line, with its key, from whichever stage comes first."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, changed(path, value))
    for module in ("gather", stage):
        needed = ["digits"] if module in OF_AN_ITEM else []
        line = failing(module, needed, capsys)
        assert said in line
        assert line.startswith("aopc: params.yaml: ")
    assert not (tmp_path / "data").exists()


def test_a_missing_setting_is_named_with_its_section() -> None:
    assert mistakes(changed(LENET, {"epochs": 1})) == [
        "params.yaml: networks.digits.lenet lacks batch_size, learning_rate, weight_decay, mirror",
        "params.yaml: networks.digits.lenet lacks architecture",
    ]
    without = params()
    del without["panels"]["digits"]["title"]
    del without["controls"]["places"]
    assert mistakes(without) == [
        "params.yaml: panels.digits lacks title",
        "params.yaml: controls lacks places",
    ]
    for section in set(params()) - {"package", "limit"}:
        less = params()
        del less[section]
        assert mistakes(less) == [f"params.yaml lacks {section}"]
    assert mistakes({"seed": 0})[0].startswith("params.yaml lacks datasets, networks, panels,")


def test_settings_of_an_architecture_are_checked_when_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are the function's, which takes torch to look at."""
    monkeypatch.chdir(tmp_path)
    whole = changed([*LENET, "settings"], {"width": 3})
    whole["networks"]["digits"].pop("strided")
    whole["digits"] = {}
    write(tmp_path, whole)
    assert run_stage(["gather"], ["digits"]) == 0
    capsys.readouterr()
    assert "unknown setting 'width'" in failing("prepare", ["digits"], capsys)


def test_all_mistakes_are_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five in five sections are five lines: the key, what was expected, and the nearest known name."""
    whole = params()
    changed(["datasets", "objects", "train", "imags"], 8000, whole)
    changed(["networks", "scenes", "caffenet", "epochs"], "six", whole)
    changed(["panels", "digits", "titel"], "Digits", whole)
    changed(["perturbation", "removal"], "unifrom", whole)
    changed(["controls", "explainers"], ["centre-fist"], whole)
    expected = [
        r"params.yaml: datasets.objects.train: unknown setting 'imags': did you mean 'images'\? Known: .*",
        r"params.yaml: networks.scenes.caffenet.epochs must be an integer; got 'six'",
        r"params.yaml: panels.digits: unknown setting 'titel': did you mean 'title'\? Known: .*",
        r"params.yaml: perturbation.removal: unknown removal 'unifrom': did you mean 'uniform'\? Known: .*",
        r"params.yaml: controls.explainers: unknown explainer 'centre-fist': did you mean 'centre-first'\? .*",
    ]
    found = mistakes(whole)
    assert len(found) == len(expected)
    for line, pattern in zip(found, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    monkeypatch.chdir(tmp_path)
    write(tmp_path, whole)
    assert run_stage(["decide"], []) == 2
    assert capsys.readouterr().err.splitlines() == [f"aopc: {line}" for line in found]


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (["perturbation", "arithmetic"], "dtype"),
        (["controls", "surrogates"], "places"),
    ],
)
@pytest.mark.parametrize("value", ["bfloat16", 1, None])
def test_former_settings_are_refused_with_their_new_names(path: list[str], new: str, value: Any) -> None:
    section, old = path
    expected = [f"params.yaml: {section}: the setting {old!r} is called {new!r} now"]
    assert mistakes(changed(path, value)) == expected
    # As a params.yaml of before has it: the old name in the place of the new one.
    before = params()
    before[section].pop(new, None)
    assert mistakes(changed(path, value, before)) == expected


def _paths(section: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = section.items() if isinstance(section, dict) else ()
    return [p for key, value in below for p in ((*above, key), *_paths(value, (*above, key)))]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_paths(params())), ANYTHING)
def test_anything_anywhere_is_taken_or_refused(path: tuple[Any, ...], value: Any) -> None:
    """Never a traceback, and never a line without its place."""
    try:
        settings_of(changed(list(path), value))
    except InputError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith("params.yaml") for line in lines), lines


def test_a_file_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no params\.yaml here"):
        read_params()
    for text, said in (("seed: [0\n", "not valid YAML"), ("- seed\n", "must hold sections")):
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(InputError, match=said) as error:
            read_params()
        assert len(str(error.value).splitlines()) == 1


def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC reads 5e-3 as a number, PyYAML as a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 0\nlimit: null\nrate: 5e-3\n")
    assert read_params()["rate"] == 0.005


def test_two_panels_for_one_data_set_of_the_paper_are_refused() -> None:
    whole = params()
    for panel in whole["panels"].values():
        panel.pop("stands_for", None)
    changed(["panels", "scenes", "stands_for"], "sun397", whole)
    assert settings_of(whole).stands_for == {"sun397": "scenes"}
    changed(["panels", "digits", "stands_for"], "sun397", whole)
    (line,) = mistakes(whole)
    assert "scenes and digits both stand for sun397" in line
    changed(["panels", "digits", "stands_for"], "imagenet", whole)
    (line,) = mistakes(whole)
    assert "'ilsvrc2012' or 'sun397' or 'places205'" in line


def test_a_stage_that_is_none_is_said_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_stage(["heatmap"], []) == 2
    said = capsys.readouterr().err
    assert "usage" in said
    assert all(module in said for module in STAGES)
    assert run_stage(["explain"], []) == 2
    assert capsys.readouterr().err == "usage: python -m aopc.paper.stages explain PANEL\n"
