"""Where MLflow keeps artifacts, which it notes as absolute paths: they follow a checkout that was moved or copied."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit


def follow(database: Path, experiment: str, artifacts: Path) -> bool:
    """Point an experiment in an SQLite store beside ``artifacts`` to that folder; returns whether it had moved.

    New runs write there. Its old runs are read there too, unless their files stayed where they were.
    """
    if not database.is_file():
        return False
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        try:
            found = connection.execute(
                "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (experiment,)
            ).fetchone()
        except sqlite3.OperationalError:  # no tables yet
            return False
        new = artifacts.as_uri()
        if found is None or found[1] == new:
            return False
        experiment_id, old = found
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment_id))
        if artifacts.is_dir() or not Path(unquote(urlsplit(old).path)).is_dir():
            connection.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
                " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, experiment_id, len(old), old),
            )
        return True
