"""From notes to MLflow: a parent run a pipeline run, a child run a stage."""

from pathlib import Path

import pytest

from aopc.paper.tracking.pending import PendingRuns, StageRun
from aopc.paper.tracking.store import log_pending
from pipeline import logged_runs


def note(pending: PendingRuns) -> None:
    run = StageRun("perturbation@x", params={"steps": 5}, metrics={"aopc": 1.5})
    run.curves["aopc_by_step"] = [0.0, 1.0, 1.5]
    run.finish("FINISHED")
    pending.append(run)


def test_notes_become_parent_and_child_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pending = PendingRuns(tmp_path / ".cache" / "pending")
    note(pending)
    assert "logged 1 runs" in log_pending(pending, {"seed": 0, "a": {"b": 1}}, [])
    assert pending.pending() == []
    runs = logged_runs(tmp_path / "mlflow.db")
    assert len(runs) == 2
    (child,) = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    (parent,) = [r for r in runs if r is not child]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params == {"steps": "5"}
    assert child.data.metrics["aopc"] == 1.5
    assert child.data.metrics["aopc_by_step"] == 1.5
    assert parent.data.params == {"seed": "0", "a.b": "1"}
    assert log_pending(pending, {}, []) == "MLflow: nothing to log"


def test_an_unreachable_store_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pending = PendingRuns(tmp_path / ".cache" / "pending")
    note(pending)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = log_pending(pending, {}, [])
    assert "could not log 1 runs to http://127.0.0.1:9" in said
    assert "aopc track" in said
    assert len(pending.pending()) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "logged 1 runs" in log_pending(pending, {}, [])
