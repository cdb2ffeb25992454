"""MLflow's pages on the runs here: the address is said, and what is missing."""

import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aopc.base.errors import InputError
from aopc.paper.tracking import ui

#: Listens on a port until somebody asks, as MLflow does for longer.
SERVER = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a path with spaces"
    (folder / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT)")
        connection.execute("INSERT INTO experiments VALUES (0, 'Default'), (3, 'aopc')")
    return folder


def refused() -> str:
    with pytest.raises(InputError) as found:
        ui.show_runs()
    (line,) = str(found.value).splitlines()
    return line


def test_the_address_of_the_runs_is_said_on_a_free_port(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[tuple[list[str], dict[str, Any]]] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        started.append((command, options))
        return popen([sys.executable, "-c", SERVER, command[command.index("--port") + 1]], **options)

    monkeypatch.setattr(ui.subprocess, "Popen", start)
    monkeypatch.setattr(ui.signal, "signal", lambda *arguments: None)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(ui, "PORT", str(taken))
        assert ui.show_runs() == 0
    ((command, options),) = started
    port = int(command[command.index("--port") + 1])
    assert taken < port < taken + ui.PORTS
    assert command[command.index("--backend-store-uri") + 1] == f"sqlite:///{checkout / 'mlflow.db'}"
    assert options["cwd"] == checkout
    said = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}/#/experiments/3/runs" in said
    assert f"port {taken} is taken" in said


def test_what_is_missing_is_said_at_once(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = checkout / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM experiments WHERE experiment_id = 3")
    assert "there are no MLflow runs" in refused()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TABLE experiments")
    assert "there are no MLflow runs" in refused()
    database.unlink()
    assert "`make repro` makes some" in refused()
    assert not database.exists()
    database.mkdir()
    assert "it is a folder" in refused()
    monkeypatch.setattr(ui, "PORTS", 0)
    with pytest.raises(InputError, match="no port"):
        ui._free_port()


def test_a_servers_runs_are_on_the_server(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    assert ui.show_runs() == 0
    said = capsys.readouterr().out
    assert "on the server of MLFLOW_TRACKING_URI" in said
    assert "secret" not in said


def test_a_server_that_does_not_start_is_no_address() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as server:
        server.wait()
        assert not ui._answers(server, 9)


def test_no_message_shows_what_an_address_carries(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone.db", "."):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout / name}?password=secret")
        said = refused()
        assert "secret" not in said
        assert str(checkout / name) in said
