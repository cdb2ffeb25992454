"""Whether a tracking store can be reached, asked before MLflow tries for minutes."""

import itertools
import os
import re
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

#: How long a store may take to answer, and a lock to be released.
SECONDS = 3.0
#: A database's driver may be named, and settings may follow.
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///([^?]*)")
#: So many bytes make an answer.
_ENOUGH = 4096
#: Of servers that say none.
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


class UnreachableError(Exception):
    """Why a store cannot be used, in words."""


def require_reachable(uri: str) -> None:
    """Raise UnreachableError within seconds if there is no store, or none that can be written to and that stays."""
    if uri.startswith("sqlite") and (":memory:" in uri or database_of(uri) is None):
        raise UnreachableError("a database in memory keeps nothing: name a file, as in sqlite:////path/to/mlflow.db")
    if (database := database_of(uri)) is not None:
        _require_writable(database)
        return
    parts = urlsplit(uri)
    if parts.hostname:
        scheme = parts.scheme.partition("+")[0]
        try:
            port = parts.port or _PORTS.get(scheme, 443)
            socket.create_connection((parts.hostname, port), timeout=SECONDS).close()
        except (OSError, ValueError) as error:
            raise UnreachableError(f"nothing answers there: {error}") from error
    if parts.scheme in ("http", "https"):
        try:
            # Whatever the answer is: a server that is none of MLflow's is told by MLflow.
            _require_answer(f"{uri.rstrip('/')}/health")
        except requests.RequestException as error:
            raise UnreachableError(f"the server does not answer as a web server ({type(error).__name__})") from error


def _require_answer(address: str) -> None:
    """The timeout is of each piece of an answer, so one in many pieces has a limit of its own."""
    deadline = time.monotonic() + SECONDS
    with requests.get(address, timeout=SECONDS, allow_redirects=False, stream=True) as answer:
        # Larger pieces are waited for until they are whole, and a long answer is one.
        for _ in itertools.islice(answer.iter_content(1), _ENOUGH):
            if time.monotonic() > deadline:
                raise UnreachableError(f"the server takes more than {SECONDS:.0f} s for one answer")


def database_of(uri: str) -> Path | None:
    """The file of an SQLite database; None for other stores."""
    found = _SQLITE.match(uri)
    return Path(found[1]) if found and found[1] else None


def _require_writable(database: Path) -> None:
    if database.is_dir():
        raise UnreachableError("it is a folder; move it away")
    if not database.exists():
        if not os.access(database.parent, os.W_OK):
            raise UnreachableError("it is not there, and its folder cannot be written to")
        return
    try:
        connection = sqlite3.connect(database, timeout=SECONDS, isolation_level=None)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            # A write that changes nothing, and is undone.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version = {int(version)}")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UnreachableError(str(error)) from error
