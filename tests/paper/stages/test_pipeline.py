"""The pipeline as DVC runs it, on a profile that takes seconds; the journal; the README."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aopc.base.errors import InputError
from aopc.explainers import EXPLAINERS
from aopc.paper.readme import results_table
from aopc.paper.stages import warm
from aopc.paper.stages.publish import BEGIN, END, with_results
from aopc.paper.tracking.pending import Journal, StageRun
from aopc.paper.tracking.store import EXPERIMENT, log_pending
from pipeline import ROOT, execute, new_repository, ran


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline with digits only, one epoch, three explainers, eight images."""
    folder = new_repository(tmp_path_factory.mktemp("repository"))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["datasets"] = {"digits": params["datasets"]["digits"]}
    network = {**params["networks"]["digits"]["lenet"], "epochs": 1, "checkpoints": [5, 20, 37]}
    strided = {**params["networks"]["digits"]["strided"], "epochs": 1}
    params["networks"] = {"digits": {"lenet": network, "strided": strided}}
    params["digits"] |= {"images": 30}
    params["controls"] |= {"images": 4, "removals": ["mean"], "surrogates": 1}
    training = {**params["checkpoints"]["objects"], "network": "lenet", "images": 6}
    params["checkpoints"] = {"digits": {**training, "region_size": 2, "title": "LeNet"}}
    params["panels"] = {"digits": {**params["panels"]["digits"], "images": 8}}
    params["explainers"] = ["sensitivity-l2", "lrp-alpha2-beta1", "random"]
    params["perturbation"] |= {"steps": 5, "repeats": 2, "random_orders": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def change(folder: Path, *path: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    section = params
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_repro_runs_everything_once_and_then_only_what_changed(repository: Path) -> None:
    first = ran(execute(repository, "dvc", "repro"))
    assert len(first) == 12
    metrics = json.loads((repository / "reports" / "metrics.json").read_text())
    assert metrics["digits"]["lrp-alpha2-beta1"]["images"] == 8
    training = json.loads((repository / "reports" / "checkpoints.json").read_text())["digits"]
    assert (training["checkpoints"], training["images"], training["test_images"]) == (3, 6, 599)
    assert -1 <= training["low"] <= training["rho"] <= training["high"] <= 1
    drawn = [f"figure{i}" for i in range(1, 6)] + ["figure6-digits", "figure7-digits", "table1"]
    for name in (*drawn, "choices", "spatial"):  # an agreement takes three explainers
        for suffix in ("png", "pdf"):
            assert (repository / "reports" / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    claims = json.loads((repository / "reports" / "claims.json").read_text())
    assert list(claims) == [f"C{i}" for i in range(1, 12)]
    assert "no panel of this profile stands for" in claims["C1"]["reading"]
    assert claims["C11"]["verdict"] != "could not run"
    readme = (repository / "README.md").read_text()
    assert results_table(claims, metrics, {}) in readme
    page = (repository / "reports" / "index.html").read_text()
    assert "profile “default”" in page
    assert page.count("http://127.0.0.1:5000/#/experiments/") >= 11  # each stage's run in MLflow

    assert ran(execute(repository, "dvc", "repro")) == []

    kept = [
        repository / "data" / "heatmaps" / "digits" / "sensitivity-l2" / "heatmaps.npy",
        repository / "data" / "curves" / "digits" / "sensitivity-l2.parquet",
        repository / "data" / "controls" / "digits" / "lerf" / "sensitivity-l2.parquet",
    ]
    written = [path.stat().st_mtime_ns for path in kept]
    change(
        repository,
        "explainers",
        value=["sensitivity-l2", "lrp-alpha2-beta1", "lrp-epsilon-0.01", "random"],
    )
    added = ran(execute(repository, "dvc", "repro"))
    assert set(added) == {
        *(f"{stage}@digits" for stage in ("heatmaps", "perturbation", "controls")),
        *("complexity", "claims", "figures", "publish"),
    }
    assert (repository / "data" / "curves" / "digits" / "lrp-epsilon-0.01.parquet").exists()
    # What was right before is not computed again.
    assert [path.stat().st_mtime_ns for path in kept] == written

    change(repository, "perturbation", "steps", value=6)
    changed = ran(execute(repository, "dvc", "repro"))
    stages = {"perturbation", "controls", "checkpoints", "claims", "figures", "publish"}
    assert {name.split("@")[0] for name in changed} == stages
    assert kept[1].stat().st_mtime_ns != written[1]
    change(repository, "explainers", value=["sensitivity-l2", "lrp-alpha2-beta1", "random"])
    execute(repository, "dvc", "repro")
    assert not (repository / "data" / "curves" / "digits" / "lrp-epsilon-0.01.parquet").exists()

    training = yaml.safe_load((repository / "params.yaml").read_text())["checkpoints"]
    change(repository, "checkpoints", value={})  # a profile that trains nothing has no Figure 7
    shorter = ran(execute(repository, "dvc", "repro"))
    assert shorter == ["checkpoints", "claims", "figures", "publish"]
    assert json.loads((repository / "reports" / "checkpoints.json").read_text()) == {}
    assert not (repository / "reports" / "figures" / "figure7-digits.png").exists()
    change(repository, "checkpoints", value=training)

    shown = execute(repository, "dvc", "metrics", "show", "--json")
    assert "lrp-alpha2-beta1" in shown.stdout
    plots = execute(repository, "dvc", "plots", "show", "-o", "plots")
    assert plots.returncode == 0, plots.stderr

    runs = _runs(f"sqlite:///{repository / 'mlflow.db'}")
    parents = [r for r in runs if r.data.tags["mlflow.runName"] == "pipeline"]
    children = [r for r in runs if r not in parents]
    assert len(parents) == 5
    # All stages but publish; the explainers of the first run come from DVC's cache of runs.
    assert len(children) == 11 + 6 + 5 + 5 + 3
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {p.info.run_id for p in parents}
    curves = [r for r in children if r.data.tags["mlflow.runName"] == "perturbation@digits"][-1]
    expected = {f"lrp-alpha2-beta1/{name}" for name in ("aopc", "aopc_low", "aopc_high")}
    assert {*expected, "forwards_per_second"} <= set(curves.data.metrics)
    assert {"git_commit", "cpu", "torch"} <= set(curves.data.tags)


def test_the_warm_process_gives_the_same_and_passes_errors_on(repository: Path) -> None:
    stage = [sys.executable, "-m", "aopc.paper.stages", "heatmaps"]
    target = repository / "data" / "heatmaps" / "digits" / "lrp-alpha2-beta1" / "heatmaps.npy"
    target.unlink()
    cold = execute(repository, *stage, "digits", AOPC_WARM="0")
    assert cold.returncode == 0, cold.stderr
    expected = target.read_bytes()
    assert execute(repository, *stage, "digits").returncode == 0
    _wait((repository / ".cache" / "warm.sock").exists)
    target.unlink()
    notes = repository / ".cache" / "journal"
    shutil.rmtree(notes)
    caller = subprocess.Popen([*stage, "digits"], cwd=repository)
    assert caller.wait(timeout=60) == 0
    assert target.read_bytes() == expected
    (note,) = notes.glob("*.json")
    assert not note.name.endswith(f"-{caller.pid}.json")  # another process did the work
    change(repository, "explainers", value=["lrp-alpha2-beta", "random"])
    wrong = execute(repository, *stage, "digits")
    change(repository, "explainers", value=["sensitivity-l2", "lrp-alpha2-beta1", "random"])
    assert wrong.returncode == 2
    assert "did you mean 'lrp-alpha2-beta1'" in wrong.stderr
    assert target.exists()
    assert "Traceback" not in wrong.stderr


def test_stages_say_what_is_wrong_with_params(repository: Path, tmp_path: Path) -> None:
    stage = [sys.executable, "-m", "aopc.paper.stages", "datasets", "digits"]
    assert "no params.yaml here" in execute(tmp_path, *stage).stderr
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    done = execute(tmp_path, *stage)
    assert done.returncode == 2
    assert "params.yaml has no datasets" in done.stderr
    (tmp_path / "params.yaml").write_text("seed: [0\n")
    assert "not valid YAML" in execute(tmp_path, *stage).stderr
    unknown = execute(tmp_path, sys.executable, "-m", "aopc.paper.stages", "heatmap")
    assert unknown.returncode != 0
    assert "usage" in unknown.stderr


def _runs(uri: str) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def _note(journal: Journal) -> None:
    run = StageRun("perturbation@x", params={"steps": 5}, metrics={"aopc": 1.5})
    run.curves["aopc_by_step"] = [0.0, 1.0, 1.5]
    run.finish("FINISHED")
    journal.append(run)


def test_notes_become_parent_and_child_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(tmp_path / ".cache" / "journal")
    _note(journal)
    assert "logged 1 runs" in log_pending(journal, {"seed": 0, "a": {"b": 1}}, [])
    assert journal.pending() == []
    child, parent = sorted(
        _runs(f"sqlite:///{tmp_path / 'mlflow.db'}"),
        key=lambda r: r.data.tags["mlflow.runName"],
        reverse=True,
    )
    child, parent = (parent, child) if "mlflow.parentRunId" in parent.data.tags else (child, parent)
    assert child.data.params == {"steps": "5"}
    assert child.data.metrics["aopc"] == 1.5
    assert child.data.metrics["aopc_by_step"] == 1.5
    assert parent.data.params == {"seed": "0", "a.b": "1"}
    assert log_pending(journal, {}, []) == "MLflow: nothing to log"


def test_an_unreachable_store_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(tmp_path / ".cache" / "journal")
    _note(journal)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = log_pending(journal, {}, [])
    assert "could not log 1 runs to http://127.0.0.1:9" in said
    assert "aopc track" in said
    assert len(journal.pending()) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "logged 1 runs" in log_pending(journal, {}, [])


def test_a_broken_note_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path)
    _note(journal)
    (tmp_path / "0-broken.json").write_text('{"name": ')
    assert [run.name for _, run in journal.pending()] == ["perturbation@x"]
    assert "0-broken.json is no note" in capsys.readouterr().err


def test_readme_shows_the_results_of_the_last_run() -> None:
    panels = yaml.safe_load((ROOT / "params.yaml").read_text())["panels"]
    stands_for = {p["stands_for"]: name for name, p in panels.items() if "stands_for" in p}
    claims, metrics = (
        json.loads((ROOT / "reports" / name).read_text())
        for name in ("claims.json", "metrics.json")
    )
    table = results_table(claims, metrics, stands_for)
    assert table == (ROOT / "reports" / "results.md").read_text()
    readme = (ROOT / "README.md").read_text()
    assert with_results(readme, table) == readme


def test_every_profile_runs_the_same_pipeline() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    profiles = sorted(p.parent for p in (ROOT / "profiles").glob("*/params.yaml"))
    assert profiles
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    for profile in profiles:
        assert (profile / "dvc.yaml").read_text() == text
        params = yaml.safe_load((profile / "params.yaml").read_text())
        assert set(params) == sections
        assert (profile / params["package"]).resolve() == ROOT / "src" / "aopc"
        readme = (profile / "README.md").read_text()
        assert with_results(readme, "x") != readme


def test_the_paper_profile_has_the_papers_numbers() -> None:
    """shared/paper.md, Setup."""
    params = yaml.safe_load((ROOT / "profiles" / "paper" / "params.yaml").read_text())
    assert set(params["panels"]) == {"ilsvrc2012", "sun397", "places205"}
    for name, panel in params["panels"].items():
        assert (panel["images"], panel["region_size"]) == (5040, 9)
        assert params["datasets"][name]["test"] == {"count": 5040}
    p = params["perturbation"]
    assert (p["steps"], p["repeats"], p["removal"]) == (100, 10, "uniform")
    assert params["explainers"] == list(EXPLAINERS)
    assert params["limit"] is None


def test_readme_without_marks_is_said() -> None:
    assert with_results(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}new\n{END}b\n"
    with pytest.raises(InputError, match="lacks the marks"):
        with_results("no marks", "table")


def test_committed_metrics_are_of_the_committed_params() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    metrics = json.loads((ROOT / "reports" / "metrics.json").read_text())
    assert list(metrics) == list(params["panels"])
    for found in metrics.values():
        assert set(found) == set(params["explainers"])


def test_a_probe_or_an_interruption_leaves_no_process_behind(repository: Path) -> None:
    """What only connects gets no stage, and a stage whose caller dies stops."""
    execute(repository, sys.executable, "-m", "aopc.paper.stages", "predict")
    path = repository / ".cache" / "warm.sock"
    _wait(path.exists)
    with contextlib.chdir(repository):
        probe = warm._connect()
    assert probe is not None
    probe.close()
    change(repository, "perturbation", "repeats", value=20_000)  # minutes of work
    locks = set((repository / ".cache" / "shards").glob("*.lock"))
    command = [sys.executable, "-m", "aopc.paper.stages", "perturbation", "digits"]
    caller = subprocess.Popen(
        command,
        cwd=repository,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    _wait(lambda: set((repository / ".cache" / "shards").glob("*.lock")) - locks)
    time.sleep(1)  # it computes by now
    caller.send_signal(signal.SIGINT)
    _, said = caller.communicate(timeout=60)
    assert caller.returncode == 130
    assert "KeyboardInterrupt" not in said
    change(repository, "perturbation", "repeats", value=2)
    _wait(lambda: not path.exists(), seconds=warm.IDLE_SECONDS + 45)


def _wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.1)
