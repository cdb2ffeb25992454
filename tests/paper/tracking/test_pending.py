"""Notes of stages' runs, which wait to be logged."""

from pathlib import Path

import pytest

from aopc.paper.tracking.pending import PendingRuns, StageRun


def note(pending: PendingRuns, name: str = "perturbation@x", status: str = "FINISHED") -> StageRun:
    run = StageRun(name, params={"steps": 5}, metrics={"aopc": 1.5})
    run.curves["aopc_by_step"] = [0.0, 1.0, 1.5]
    run.finish(status)
    pending.append(run)
    return run


def test_a_note_says_how_long_where_and_by_which_code_it_ran(tmp_path: Path) -> None:
    pending = PendingRuns(tmp_path / "pending")
    run = note(pending)
    ((_, found),) = pending.pending()
    assert found == run
    assert found.metrics["wall_seconds"] == found.end - found.start
    assert {"git_commit", "cpu", "python", "torch"} <= set(found.tags)


def test_a_broken_note_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pending = PendingRuns(tmp_path)
    note(pending)
    (tmp_path / "0-broken.json").write_text('{"name": ')
    assert [run.name for _, run in pending.pending()] == ["perturbation@x"]
    assert "0-broken.json is no note" in capsys.readouterr().err


def test_a_note_nested_without_end_is_set_aside(tmp_path: Path) -> None:
    pending = PendingRuns(tmp_path)
    note(pending)
    (tmp_path / "0.json").write_text("[" * 100_000)
    assert [run.name for _, run in pending.pending()] == ["perturbation@x"]
    assert (tmp_path / "0.json.damaged").exists()


def test_a_note_that_cannot_be_kept_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    note(PendingRuns(tmp_path / "file" / "pending"))
    assert "could not keep the note of perturbation@x" in capsys.readouterr().err


def test_an_untracked_run_leaves_no_note(tmp_path: Path) -> None:
    pending = PendingRuns(tmp_path)
    run = StageRun("publish", tracked=False)
    run.finish("FINISHED")
    pending.append(run)
    assert pending.pending() == []
    assert list(tmp_path.iterdir()) == []


def test_the_last_successful_run_of_each_stage_is_remembered(tmp_path: Path) -> None:
    """Logged or not; a stage that failed last is left out."""
    pending = PendingRuns(tmp_path)
    logged = note(pending, "claims")
    ((path, _),) = pending.pending()
    pending.logged(path, logged, "http://here/1")
    assert pending.pending() == []
    assert pending.last_runs() == [(logged, "http://here/1")]
    waiting = note(pending, "figures")
    assert pending.last_runs() == [(logged, "http://here/1"), (waiting, None)]
    again = note(pending, "claims")
    assert pending.last_runs() == [(waiting, None), (again, None)]
    note(pending, "figures", "FAILED")
    assert pending.last_runs() == [(again, None)]
