"""Artifacts follow a checkout that was moved or copied."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aopc.paper.tracking.artifacts import follow


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A database as MLflow makes it, of two runs here, one elsewhere and another experiment, in a checkout that was
    at ``old`` and is at ``new`` now.
    """
    old, new = tmp_path / "old place", tmp_path / "new 100% place"
    (new / "mlartifacts").mkdir(parents=True)
    with closing(sqlite3.connect(new / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT)")
        connection.execute("CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, artifact_uri TEXT)")
        uri = (old / "mlartifacts").as_uri()
        connection.execute("INSERT INTO experiments VALUES (1, 'aopc', ?), (2, 'mine', ?)", (uri, uri))
        for name, experiment, where in (("a", 1, uri), ("b", 1, uri), ("c", 1, "s3://bucket"), ("d", 2, uri)):
            connection.execute("INSERT INTO runs VALUES (?, ?, ?)", (name, experiment, f"{where}/{name}/artifacts"))
    return new


def places(checkout: Path) -> tuple[list[str], list[str]]:
    with closing(sqlite3.connect(checkout / "mlflow.db")) as connection:
        queries = ("SELECT artifact_location FROM experiments", "SELECT artifact_uri FROM runs")
        experiments, runs = ([row[0] for row in connection.execute(q)] for q in queries)
    return experiments, runs


def test_new_runs_write_and_old_ones_read_where_the_checkout_is(moved: Path) -> None:
    _, (_, _, elsewhere, other) = places(moved)
    new, artifacts = (moved / "mlartifacts").as_uri(), moved / "mlartifacts"
    assert follow(moved / "mlflow.db", "aopc", artifacts)
    experiments, runs = places(moved)
    assert experiments[0] == new != experiments[1]
    assert runs == [f"{new}/a/artifacts", f"{new}/b/artifacts", elsewhere, other]
    assert not follow(moved / "mlflow.db", "aopc", artifacts)


def test_files_that_stayed_behind_are_read_there(moved: Path) -> None:
    """Only the database was moved."""
    before = places(moved)[1]
    (moved / "mlartifacts").rename(moved.parent / "kept")
    (moved.parent / "old place" / "mlartifacts").mkdir(parents=True)
    assert follow(moved / "mlflow.db", "aopc", moved / "mlartifacts")
    experiments, runs = places(moved)
    assert experiments[0] == (moved / "mlartifacts").as_uri()
    assert runs == before


def test_what_is_not_there_does_not_move(tmp_path: Path, moved: Path) -> None:
    assert not follow(tmp_path / "mlflow.db", "aopc", tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
    assert not follow(tmp_path / "empty.db", "aopc", tmp_path)
    assert not follow(moved / "mlflow.db", "no such", moved / "mlartifacts")
