"""``aopc ui``: MLflow's pages on the runs here."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

from aopc.base.errors import InputError
from aopc.base.places import checkout
from aopc.base.text import one_line, without_secrets
from aopc.paper.tracking.reach import UnreachableError, database_of, require_reachable
from aopc.paper.tracking.store import EXPERIMENT, LOCAL_UI, tracking_uri

HOST, PORT = LOCAL_UI.removeprefix("http://").split(":")
#: So many ports are tried, and so long the server may take to start.
PORTS, SECONDS = 100, 300.0
#: Without the seven processes that do MLflow's jobs on language models.
_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def show_runs() -> int:
    """Serve them until interrupted, and say where; returns the server's exit status.

    Raises
    ------
    InputError
        If there are no runs yet, or the store cannot be used.
    """
    uri = tracking_uri()
    if uri.startswith("http"):
        print(f"MLflow: the runs are in the experiment {EXPERIMENT} on the server of MLFLOW_TRACKING_URI")
        return 0
    experiment, port = _experiment(uri), _free_port()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port)]
    command += ["--workers", "1"]  # enough for one browser, and there in a quarter of the time
    # A server ends when this process does, however it is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command, cwd=checkout(), env={**_ENVIRONMENT, **os.environ}, start_new_session=True)
    try:
        if _answers(server, port):
            print(f"MLflow: the runs are at http://{HOST}:{port}/#/experiments/{experiment}/runs (Ctrl-C ends it)")
            if port != int(PORT):
                print(
                    f"MLflow: port {PORT} is taken, and links in reports/index.html lead there: free it and start again"
                )
        sys.stdout.flush()
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Its processes too; by force if they take long."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(server.pid, number)
            server.wait(timeout=5)


def _experiment(uri: str) -> str:
    """Its id, read from the database, so that what is missing is said at once."""
    shown = one_line(without_secrets(uri))
    none = f"there are no MLflow runs in {shown} yet: `make repro` makes some, and `aopc track` logs those that wait"
    database = database_of(uri)
    if database is None:
        return "0"
    if not database.exists():
        raise InputError(none)
    try:
        require_reachable(uri)
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT experiment_id FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone()
    except (UnreachableError, sqlite3.DatabaseError) as error:
        said = none if "no such table" in str(error) else f"cannot use the MLflow store {shown}: {error}"
        raise InputError(said) from error
    if found is None:
        raise InputError(none)
    return str(found[0])


def _free_port() -> int:
    """The usual one, or the next that is free."""
    for port in range(int(PORT), int(PORT) + PORTS):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise InputError(f"no port from {PORT} on is free: end a server that runs there")


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection((HOST, port), timeout=1).close()
            return True
        time.sleep(0.2)
    return False
