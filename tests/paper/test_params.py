"""What users write in params.yaml: wrong names and types end in one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aopc.base.errors import InputError
from aopc.paper.forecast import plan
from aopc.base.checked import call, checked, fits
from aopc.paper.stages import datasets, networks, predict
from aopc.paper.stages.panel import panels_of_the_paper
from aopc.paper.stages.stage import read_params, run_stage

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Example:
    count: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    points: tuple[int, ...] = ()
    name: str | None = None


def test_good_settings_arrive() -> None:
    found = checked(Example, "x", {"count": 3, "rate": 1, "points": [1, 2]}, name="n")
    assert found == Example(3, 1, "a", (1, 2), "n")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": "3"}, "x.count must be an integer; got '3'"),
        ({"count": 3.0}, "must be an integer"),
        ({"count": True}, "must be an integer"),
        ({"count": 1, "rate": "5e-3"}, "x.rate must be a number"),
        ({"count": 1, "kind": "c"}, "must be 'a' or 'b'"),
        ({"count": 1, "points": [1, "2"]}, "a list, each of it an integer"),
        ({"count": 1, "points": 5}, "a list"),
        ({"cuont": 1}, "unknown setting 'cuont': did you mean 'count'"),
        ({}, "x lacks count"),
        ([1], "must be a section of settings"),
        (None, "must be a section of settings"),
        ({"count": 1, "name": "mine"}, "unknown setting 'name'"),
    ],
)
def test_bad_settings_are_said(values: Any, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        checked(Example, "x", values, name="n")

    def function(*, count: int, rate: float = 0.5, kind: Literal["a", "b"] = "a",
                 points: tuple[int, ...] = (), name: str = "") -> int:  # fmt: skip
        return count

    if "lacks" not in said:
        with pytest.raises(InputError, match=said.replace("(", r"\(")):
            call(function, "x", values, name="n")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["count", "rate", "kind", "points", "name", "x"]), ANYTHING))
def test_any_settings_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        found = checked(Example, "x", values)
    except InputError:
        return
    assert fits(found.count, int)
    assert all(fits(p, int) for p in found.points)


def failing(stage: Any, items: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a stage says when it fails as a user's mistake makes it."""
    name = stage.__name__.rpartition(".")[2]
    assert run_stage(name, items, stage.work) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("aopc: ")
    return line


def write_params(folder: Path, params: dict[str, Any], path: list[str], value: Any) -> None:
    """params.yaml with one value changed."""
    section = params
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


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
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    write_params(tmp_path, params, path, value)
    assert said in failing(datasets, ["digits"], capsys)


@pytest.mark.parametrize(
    ("stage", "path", "value", "said"),
    [
        (networks, ["networks", "digits", "lenet"], None, "must be a section"),
        (networks, ["networks", "digits", "lenet"], {"epochs": 1}, "architecture must be a text"),
        (networks, ["networks", "digits", "lenet", "epochs"], 0, "one epoch"),
        (networks, ["networks", "digits", "lenet", "batch_size"], 32.5, "must be an integer"),
        (networks, ["networks", "digits", "lenet", "checkpoints"], 5, "a list"),
        (networks, ["networks", "digits", "lenet", "settings"], {"width": 3}, "unknown setting"),
        (networks, ["networks", "digits", "lenet"], {"weights": "x"}, "unknown weights 'x'"),
        (networks, ["networks", "digits", "lenet"], {"weights": "x", "epochs": 1}, "'epochs'"),
        (predict, ["panels", "digits", "images"], "4", "must be an integer or null"),
        (predict, ["panels", "digits", "network"], "digits/none", "wants the network"),
        (predict, ["panels", "digits", "netwrok"], "a", "did you mean 'network'"),
        (predict, ["panels", "nowhere"],
         {"network": "a/b", "images": 1, "region_size": 2, "title": "t"}, "must be a data set"),
    ],
)  # fmt: skip
def test_mistakes_in_networks_and_panels_are_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: Any,
    path: list[str],
    value: Any,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["panels"] = {"digits": params["panels"]["digits"]}
    params["networks"]["digits"].pop("strided")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert run_stage("datasets", ["digits"], datasets.work) == 0
    if path[-1] == "nowhere":
        params["panels"].pop("digits")
    write_params(tmp_path, params, path, value)
    items = ["digits"] if stage is networks else []
    assert said in failing(stage, items, capsys)


def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC reads 5e-3 as a number, PyYAML as a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 0\nlimit: null\nrate: 5e-3\n")
    assert read_params()["rate"] == 0.005


def test_a_plan_names_every_file_and_says_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "paper")
    monkeypatch.setenv("AOPC_DOWNLOADS", str(tmp_path))
    (tmp_path / "bvlc_reference_caffenet.caffemodel").write_bytes(b"")
    text = plan(read_params(), rate=10_000.0)
    for part in (
        "ILSVRC2012_img_val.tar: 6.7 GB, needs an account; 5040 of its 50000 images",
        "md5:29b22e2961454d5413ddabcf34fc5622",
        "SUN397.tar.gz: about 39.0 GB, to download",
        "none published; its size, 2341250899 bytes, is checked",
        "bvlc_reference_caffenet.caffemodel: about 244.0 MB, is here",
        # 5040 images × 100 steps × 10 repeats × 8 orders × 3 data sets, and 500 × 100 × 67 × 3 of controls
        "Work: 131.0 million forwards (3 panels, 8 orders, 10 repeats, 100 steps, and the controls)",
        "sun397: 5040 images, 43.7 million forwards at 10000 a second",
        "In all: 3.6 hours",
    ):
        assert part in text
    assert list(tmp_path.iterdir()) == [tmp_path / "bvlc_reference_caffenet.caffemodel"]


def test_a_plan_measures_where_no_rate_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "paper")
    params = read_params()
    params["panels"] = {"ilsvrc2012": params["panels"]["ilsvrc2012"] | {"images": 2}}
    params["perturbation"] |= {"steps": 3, "repeats": 1, "random_orders": 1}
    params["explainers"] = ["sensitivity-l2", "random"]
    text = plan(params, seconds=0.2)
    assert "measured on" in text
    assert "s an image for all heatmaps" in text


def test_two_panels_for_one_data_set_of_the_paper_are_refused() -> None:
    panel = {"network": "a/b", "images": 3, "region_size": 2, "title": "x"}
    params = {"panels": {"one": {**panel, "stands_for": "sun397"}, "two": dict(panel)}}
    assert panels_of_the_paper(params) == {"sun397": "one"}
    params["panels"]["two"]["stands_for"] = "sun397"
    with pytest.raises(InputError, match="one and two both stand for sun397"):
        panels_of_the_paper(params)
    params["panels"]["two"]["stands_for"] = "imagenet"
    with pytest.raises(InputError, match="'ilsvrc2012' or 'sun397' or 'places205'"):
        panels_of_the_paper(params)
