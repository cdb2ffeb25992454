"""Whether a store can be reached: within seconds, in words, and without touching it."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from aopc.paper.tracking import reach
from aopc.paper.tracking.reach import UnreachableError, database_of, require_reachable


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a folder" / "mlflow.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE x (y)")
    return path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SECONDS", 0.5)


def refused(uri: str) -> str:
    started = time.monotonic()
    with pytest.raises(UnreachableError) as found:
        require_reachable(uri)
    assert time.monotonic() - started < 4
    (line,) = str(found.value).splitlines()
    return line


def test_a_database_that_can_be_written_to_is_left_as_it_was(database: Path) -> None:
    before = database.read_bytes()
    require_reachable(f"sqlite:///{database}")
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]
    require_reachable(f"sqlite:///{database.with_name('new.db')}?timeout=3")
    assert list(database.parent.iterdir()) == [database]


def test_what_is_no_database_is_said(database: Path) -> None:
    assert "it is a folder" in refused(f"sqlite:///{database.parent}")
    assert "its folder" in refused(f"sqlite:///{database.parent / 'no' / 'mlflow.db'}")
    database.write_text("no database, but a text that is longer than the header of one" * 20)
    assert "not a database" in refused(f"sqlite:///{database}")


def test_a_locked_database_is_said_in_seconds(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in refused(f"sqlite:///{database}")


@pytest.fixture
def listening() -> Iterator[int]:
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql"])
def test_a_server_is_asked_whatever_its_kind(listening: int, scheme: str) -> None:
    uri = f"{scheme}://me:secret@127.0.0.1:{listening}/x"
    if scheme.startswith("http"):
        said = refused(uri)  # it takes the call, and never speaks
        assert "does not answer as a web server" in said
        assert "secret" not in said
    else:
        require_reachable(uri)
    said = refused(f"{scheme}://me:secret@127.0.0.1:9/x")
    assert "nothing answers" in said
    assert "secret" not in said


def test_any_answer_of_a_web_server_will_do() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        require_reachable(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


def test_other_stores_are_left_to_mlflow(tmp_path: Path) -> None:
    for uri in (str(tmp_path), tmp_path.as_uri(), "databricks"):
        require_reachable(uri)
    assert database_of("sqlite:////a b/c.db") == Path("/a b/c.db")
    assert database_of("sqlite:///c.db?x=1") == Path("c.db")
    assert database_of("sqlite+pysqlite:////a/c.db") == Path("/a/c.db")
    assert database_of("http://x") is None


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:?a=b"])
def test_a_database_in_memory_would_lose_what_is_logged(uri: str) -> None:
    assert "in memory keeps nothing" in refused(uri)


class Slow(BaseHTTPRequestHandler):
    """Always says something, and never comes to an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "200")
        self.end_headers()
        with suppress(OSError):
            for _ in range(200):
                self.wfile.write(b" ")
                time.sleep(0.1)


def test_an_answer_in_many_pieces_has_a_limit() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        assert "for one answer" in refused(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:port", "http://127.0.0.1:99999"])
def test_a_wrong_port_is_said(uri: str) -> None:
    assert "nothing answers" in refused(uri)
