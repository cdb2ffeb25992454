"""From notes to MLflow: a parent run a pipeline run, a child run a stage; a broken store loses nothing."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aopc.paper.tracking.pending import PendingRuns, StageRun
from aopc.paper.tracking.store import _reason, log_pending
from aopc.paper.variant import adopt
from pipeline import logged_runs

PARAMS = {"seed": 0, "a": {"b": 1}}


def note(pending: PendingRuns, **more: Any) -> None:
    run = StageRun("perturbation@x", params={"steps": 5}, metrics={"aopc": 1.5}, **more)
    run.curves["aopc_by_step"] = [0.0, 1.0, 1.5]
    run.finish("FINISHED")
    pending.append(run)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one logged run, which the tests copy: making a database takes seconds."""
    folder = tmp_path_factory.mktemp("first") / "check out"
    (folder / ".dvc").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        adopt(PARAMS)
        (folder / "params.yaml").write_text("of the parent")
        (folder / "result.txt").write_text("of the stage")
        pending = PendingRuns(Path(".cache") / "pending")
        note(pending, artifacts=["result.txt"])
        assert "logged 1 runs" in log_pending(pending, PARAMS, [Path("params.yaml")])
        assert pending.pending() == []
        assert log_pending(pending, {}, []) == "MLflow: nothing to log"
    return folder


@pytest.fixture
def checkout(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copied"
    shutil.copytree(first, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture
def pending(checkout: Path) -> PendingRuns:
    """With one note that waits."""
    found = PendingRuns(checkout / ".cache" / "pending")
    note(found)
    return found


def by_name(folder: Path) -> dict[str, Any]:
    """The last run of each name."""
    runs = sorted(logged_runs(folder / "mlflow.db"), key=lambda r: r.info.start_time)
    return {r.data.tags["mlflow.runName"]: r for r in runs}


def test_notes_become_parent_and_child_runs(first: Path) -> None:
    runs = by_name(first)
    child, parent = runs["perturbation@x"], runs["pipeline"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params == {"steps": "5"}
    assert child.data.metrics["aopc"] == 1.5
    assert child.data.metrics["aopc_by_step"] == 1.5
    assert parent.data.params == {"seed": "0", "a.b": "1"}
    assert "variant" not in parent.data.tags
    stored = {p.relative_to(first / "mlartifacts").parts[-1] for p in (first / "mlartifacts").rglob("*.*")}
    assert stored == {"params.yaml", "result.txt"}


def test_a_moved_checkout_writes_where_it_is_and_reads_what_it_had(
    first: Path, checkout: Path, pending: PendingRuns
) -> None:
    note(pending, artifacts=["result.txt"])
    before = sorted((first / "mlartifacts").rglob("*"))
    assert "logged 2 runs" in log_pending(pending, PARAMS, [])
    assert sorted((first / "mlartifacts").rglob("*")) == before
    for run in logged_runs(checkout / "mlflow.db"):
        assert run.info.artifact_uri.startswith((checkout / "mlartifacts").as_uri())
    assert len(list((checkout / "mlartifacts").rglob("result.txt"))) == 4  # of two children, and of their parents


def test_runs_with_other_parameters_are_a_variant_and_have_a_parent_of_their_own(
    checkout: Path, pending: PendingRuns
) -> None:
    """Also where they waited, and are logged when the settings are others again."""
    note(pending, parameters={**PARAMS, "seed": 7})
    log_pending(pending, PARAMS, [Path("params.yaml")])
    runs = by_name(checkout)
    child, parent = runs["perturbation@x (variant)"], runs["pipeline (variant)"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.params == {"seed": "7", "a.b": "1"}
    assert child.data.tags["variant"] == parent.data.tags["variant"] == "seed: 0 → 7"
    assert parent.data.tags["variant_command"] == "dvc exp run -S seed=7"
    assert "hash_params.yaml" not in parent.data.tags  # the file is of other parameters
    own = runs["perturbation@x"]
    assert own.data.tags["mlflow.parentRunId"] == runs["pipeline"].info.run_id
    assert "hash_params.yaml" in runs["pipeline"].data.tags


def broken(pending: PendingRuns) -> str:
    """What is said of a store that cannot be used, within seconds, and without a note lost."""
    started, count = time.monotonic(), len(pending.pending())
    said = log_pending(pending, PARAMS, [])
    assert time.monotonic() - started < 12
    assert len(said.splitlines()) == 1
    assert f"could not log {count} runs to" in said
    assert "`aopc track` logs them later" in said
    assert len(pending.pending()) == count
    return said


def test_a_store_that_cannot_be_used_loses_nothing(
    checkout: Path, pending: PendingRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = checkout / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "nothing answers there" in broken(pending)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    database.rename(checkout / "kept.db")
    database.mkdir()
    assert "it is a folder" in broken(pending)
    database.rmdir()
    (checkout / "kept.db").rename(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in broken(pending)
    with closing(sqlite3.connect(database)) as connection:
        (known,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    for version in ("of_the_future", known):
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        if version != known:
            assert "made by another version of MLflow" in broken(pending)
    assert "logged 1 runs" in log_pending(pending, PARAMS, [])
    assert pending.pending() == []


def test_damaged_notes_are_in_nobodys_way(
    checkout: Path, pending: PendingRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout / ".cache" / "pending"
    (whole,) = folder.glob("[0-9]*.json")
    (folder / "1-cut.json").write_bytes(whole.read_bytes()[:100])
    (folder / "last" / "pipeline.json").write_bytes((folder / "last" / "pipeline.json").read_bytes()[:50])
    assert "logged 1 runs" in log_pending(pending, PARAMS, [])
    assert {r.run.name for r in pending.last_runs()} == {"perturbation@x", "pipeline"}
    assert "1-cut.json is no note of a run, and is set aside as 1-cut.json.damaged" in capsys.readouterr().err
    assert (folder / "1-cut.json.damaged").stat().st_size == 100
    assert log_pending(pending, PARAMS, []) == "MLflow: nothing to log"


@pytest.mark.parametrize("store", ["whole", "broken"])
def test_an_experiment_in_a_temporary_folder_is_logged_in_the_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """DVC deletes the folder as soon as the experiment is done; what cannot be logged waits in the checkout."""
    temporary = checkout / ".dvc" / "tmp" / "exps" / "tmp1234"
    (temporary / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(temporary)
    (temporary / "reports").mkdir()
    (temporary / "reports" / "found.txt").write_text("of the experiment")
    pending = PendingRuns(Path(".cache") / "pending")
    note(pending, parameters={**PARAMS, "seed": 8}, artifacts=["reports/found.txt"])
    database = checkout / "mlflow.db"
    if store == "broken":
        database.rename(checkout / "kept.db")
        database.mkdir()
        assert f"logs them later in {checkout}" in log_pending(pending, PARAMS, [])
    else:
        assert "logged 1 runs" in log_pending(pending, PARAMS, [])
    assert not list(temporary.glob("ml*"))
    monkeypatch.chdir(checkout)
    shutil.rmtree(temporary)
    if store == "broken":
        database.rmdir()
        (checkout / "kept.db").rename(database)
        later = PendingRuns(Path(".cache") / "pending")
        assert "logged 1 runs" in log_pending(later, PARAMS, [])
        assert not list((checkout / ".cache" / "pending" / "files").iterdir())
    runs = logged_runs(database)
    (parent,) = [r for r in runs if r.data.params.get("seed") == "8"]
    assert parent.info.artifact_uri.startswith((checkout / "mlartifacts").as_uri())
    assert (checkout / "mlartifacts" / parent.info.run_id / "artifacts" / "reports" / "found.txt").exists()


def test_a_damaged_last_run_is_no_end_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with it."""
    for number, content in enumerate(
        ['{"run": {"na', "[]", "3", '{"run": 1, "link": null}', json.dumps({"run": {}}), "\udcff"]
    ):
        path = tmp_path / "last" / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert PendingRuns(tmp_path).last_runs() == []
    assert len(capsys.readouterr().err.splitlines()) == 6
    assert len(list((tmp_path / "last").glob("*.damaged"))) == 6


def test_a_note_that_mlflow_would_refuse_is_in_nobodys_way(checkout: Path, pending: PendingRuns) -> None:
    """Names that are paths, are empty, long, or the same once they are names; files that are none."""
    (checkout / "no text.yaml").write_bytes(b"\xff\xfe")
    (checkout / "folder.yaml").mkdir()
    odd = StageRun("odd", artifacts=["no text.yaml", "folder.yaml", "gone.csv"])
    odd.params = {"a<": 1, "a>": 2, "../b": 3, "": 4, "q" * 400: 5}
    odd.metrics = {"/c": 1.0, "c": 2.0, "d//e": 3.0}
    odd.finish("FINISHED")
    pending.append(odd)
    note(pending)
    assert "logged 3 runs" in log_pending(pending, PARAMS, [])
    data = by_name(checkout)["odd"].data
    assert data.params == {"a_": "1", "a_.2": "2", "b": "3", "_": "4", "q" * 240: "5"}
    assert {k: v for k, v in data.metrics.items() if k != "wall_seconds"} == {"c": 1.0, "c.2": 2.0, "d/e": 3.0}


def test_a_deleted_experiment_is_said_with_what_brings_it_back(checkout: Path, pending: PendingRuns) -> None:
    with closing(sqlite3.connect(checkout / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'aopc'")
    assert "mlflow experiments restore --experiment-id 1" in broken(pending)


def test_no_reason_is_cut_before_its_secrets_are_out() -> None:
    """The cut would take the end of an address, by which a password is known."""
    said = _reason(ValueError(f"{'x' * 180} https://me:secret-of-many-letters@host/path"))
    assert "secret" not in said


def test_what_is_said_of_a_store_is_one_line(pending: PendingRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/\nx")
    assert "127.0.0.1:9/\\nx (nothing answers" in broken(pending)


def test_a_note_removes_no_folder_but_its_own_copies(
    checkout: Path, pending: PendingRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    """A note is a file that anybody can change: its folder, its name and its times are not believed."""
    mine = checkout / "somebodys"
    mine.mkdir()
    (mine / "kept.txt").write_text("kept")
    folder = checkout / ".cache" / "pending"
    (path,) = folder.glob("[0-9]*.json")
    content = json.loads(path.read_text())
    odd = [{"folder": str(mine)}, {"folder": str(folder / "files" / "..")}, {"name": "../../escaped"}, {"name": "a/b"}]
    odd += [{"start": -1e30}, {"end": 1e300}, {"status": "NONSENSE"}]
    for i, change in enumerate(odd):
        (folder / f"{i}.json").write_text(json.dumps(content | change))
    assert "logged 3 runs" in log_pending(pending, PARAMS, [])
    assert (mine / "kept.txt").read_text() == "kept"
    assert len(list(folder.glob("*.damaged"))) == 5
    assert not list(checkout.rglob("escaped*"))
    assert capsys.readouterr().err.count("is set aside") == 5
