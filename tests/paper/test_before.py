"""Before the first stage of `make repro`: results of another version of one's own code are refused."""

from pathlib import Path

import pytest
import yaml

import aopc
from aopc.base.files import write_array, write_record, write_table
from aopc.base.provenance import metadata
from aopc.paper import before
from aopc.paper.params import read_settings
from pipeline import ROOT


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of an explainer of one's own, and of a removal; the explainer imports another file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["explainers"].append("my_explainer:explain")
    params["controls"]["removals"].append("my_removal:grey")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "my_helper.py").write_text("")
    (tmp_path / "my_explainer.py").write_text("import my_helper\ndef explain(m, x, y): ...\n")
    (tmp_path / "my_removal.py").write_text("def grey(image, value_range, stream): ...\n")
    names = "my_explainer:explain", "my_removal:grey"
    maps = Path("data/heatmaps/scenes/my_explainer:explain")
    maps.mkdir(parents=True)
    write_array(maps / "heatmaps.npy", [0.0])
    write_record(maps / "about.json", metadata({}, "aopc.paper.notes", names[0]))
    for folder in ("curves", "controls"):
        file = Path("data") / folder / "scenes" / "x.parquet"
        file.parent.mkdir(parents=True)
        write_table(file, {"x": [1]}, metadata({}, "aopc.paper.notes", *(names if folder == "curves" else names[1:])))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "names", "stages"),
    [
        ("my_explainer.py", "my_explainer:explain", "heatmaps@scenes perturbation@scenes"),
        ("my_helper.py", "my_explainer:explain", "heatmaps@scenes perturbation@scenes"),
        ("my_removal.py", "my_removal:grey", "controls@scenes perturbation@scenes"),
    ],
)
def test_results_of_other_code_are_refused_with_the_commands(code: Path, file: str, names: str, stages: str) -> None:
    before.check(read_settings())
    (code / file).write_text((code / file).read_text() + "x = 1\n")
    with pytest.raises(aopc.InputError) as caught:
        before.check(read_settings())
    (line,) = caught.value.mistakes
    assert line.startswith(f"the code of {names} is not that of the results in data, which DVC does not see")
    assert line.endswith(f"run dvc repro --force --single-item {stages} && dvc repro")


def test_results_of_code_that_is_no_longer_wanted_are_dvcs(code: Path) -> None:
    (code / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (code / "my_explainer.py").unlink()
    before.check(read_settings())


def test_our_own_names_are_no_code_of_ones_own() -> None:
    assert "own" not in metadata({}, "aopc.paper.notes", "random", "lrp-epsilon-100", "uniform", None)


def test_damaged_results_are_left_to_those_who_read_them(code: Path) -> None:
    (code / "data" / "curves" / "scenes" / "x.parquet").write_bytes(b"no table")
    (code / "data" / "panels").mkdir()
    (code / "data" / "panels" / "about.json").write_text("[]")
    before.check(read_settings())
