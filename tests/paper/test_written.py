"""Published files that are not what their stage wrote are refused by those that read them."""

import hashlib
from pathlib import Path

import pytest
import yaml

from aopc.base.errors import DamagedError
from aopc.paper.folders import how_to_make
from aopc.paper.written import check_written, note_written
from pipeline import ROOT

FILES = (Path("reports/figure4.csv"), Path("reports/metrics.json"))


@pytest.fixture(autouse=True)
def _reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    for file in FILES:
        file.write_text("x,1\n")


def lock() -> None:
    outs = [{"path": str(f), "md5": hashlib.md5(f.read_bytes()).hexdigest()} for f in FILES]
    outs.append({"path": "reports/figures", "md5": "0.dir"})
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"claims": {"outs": outs}}}))


@pytest.mark.parametrize("how", ["noted", "locked", "both"])
def test_a_changed_file_is_refused_by_name(how: str) -> None:
    if how != "noted":
        lock()
    if how != "locked":
        note_written("claims", FILES)
    check_written("claims")
    FILES[0].write_text("x,2\n")
    with pytest.raises(DamagedError, match=r"reports/figure4\.csv is not what the stage claims wrote") as caught:
        check_written("claims")
    assert how_to_make(caught.value.path) == "dvc repro --force --single-item claims && dvc repro"
    FILES[0].unlink()
    with pytest.raises(DamagedError, match=r"figure4\.csv is missing"):
        check_written("claims")


def test_files_of_another_commit_are_right_where_its_lock_says_so() -> None:
    note_written("claims", FILES)
    FILES[0].write_text("x,2\n")
    lock()
    check_written("claims")
    # And a stage that ran by hand since the lock was written.
    FILES[1].write_text("x,3\n")
    note_written("claims", FILES)
    check_written("claims")


def test_where_nothing_is_known_nothing_is_refused() -> None:
    check_written("claims")


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("data/heatmaps/objects/lrp/heatmaps.npy", "heatmaps@objects"),
        ("data/curves/objects/lrp.parquet", "perturbation@objects"),
        ("data/controls/objects/lerf/lrp.parquet", "controls@objects"),
        ("data/datasets/digits/test/images.npy", "datasets@digits"),
        ("data/networks/digits/lenet.pt", "networks@digits"),
        ("data/panels/objects/logits.npy", "predict"),
        ("data/complexity/objects.parquet", "complexity"),
        ("data/digits/figure3.json", "digits"),
        ("data/checkpoints/objects/aopc.parquet", "checkpoints"),
        ("reports/metrics.json", "claims"),
        ("reports/results.md", "figures"),
        ("reports/figures/figure4.png", "figures"),
    ],
)
def test_the_command_that_makes_a_file_again_names_its_stage(path: str, stage: str) -> None:
    assert how_to_make(Path(path)) == f"dvc repro --force --single-item {stage} && dvc repro"
    assert stage.split("@")[0] in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert how_to_make(Path("/elsewhere") / path) == ""
