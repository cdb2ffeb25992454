"""A process that has imported torch and zennit, and forks for each stage.

The pipeline has many short stages, and each would spend most of its time importing; importing zennit imports torchvision
and torch's compiler with it. The first stage that needs torch starts this process; later ones hand over their arguments,
environment and terminal, and wait for the exit status. It ends by itself when idle. Only third-party packages are imported
ahead, so a stage always runs the package's current code; and where no such process can be reached, or ``AOPC_WARM=0`` is
set, a stage runs as an ordinary process with the same result.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aopc.base.machine import prepare

#: Relative, since the path of a socket is limited to about 100 characters.
SOCKET = Path(".cache/warm.sock")
IDLE_SECONDS = 15.0
PRELOADED = ("torch", "zennit.composites", "zennit.torchvision")
#: The stages that need torch.
WARM = frozenset({"prepare", "predict", "explain", "perturb", "control", "compare", "follow"})


def run(stage: str, items: Sequence[str]) -> int:
    """Run a stage and return its exit status."""
    usable = stage in WARM and os.environ.get("AOPC_WARM") != "0" and hasattr(socket, "send_fds")
    connection = _connect() if usable else None
    if connection is not None:
        with connection:
            status = _delegate(connection, stage, items)
        if status is not None:
            return status
    elif usable:
        _start_server()
    return _run_here(stage, items)


def _run_here(stage: str, items: Sequence[str]) -> int:
    prepare()
    from aopc.paper.stages.stage import run_stage

    return run_stage([stage], items)


def _connect() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(SOCKET))
    except OSError:
        connection.close()
        return None
    return connection


def _delegate(connection: socket.socket, stage: str, items: Sequence[str]) -> int | None:
    """The exit status of the stage, None if the other end was gone before it took the stage."""
    request = {
        "stage": stage,
        "items": list(items),
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        socket.send_fds(connection, [b"\0"], [0, 1, 2])
        connection.sendall(json.dumps(request).encode() + b"\n")
        taken = connection.recv(1)
    except OSError:
        return None
    if not taken:
        return None
    while True:
        try:
            answer = connection.recv(16)
        except KeyboardInterrupt:
            # The other end takes this as the interruption; its answer is still awaited.
            connection.shutdown(socket.SHUT_WR)
            continue
        if answer:
            return int(answer)
        print(f"aopc: the process of stage {stage} died: out of memory?", file=sys.stderr)
        return 1


def _start_server() -> None:
    with contextlib.suppress(OSError):
        SOCKET.parent.mkdir(parents=True, exist_ok=True)
        subprocess.Popen(
            [sys.executable, "-m", "aopc.paper.stages.warm"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def serve() -> None:
    """Accept stages until idle for :data:`IDLE_SECONDS`."""
    prepare()
    for module in PRELOADED:
        importlib.import_module(module)
    listener = socket.socket(socket.AF_UNIX)
    if _connect() is not None:
        return
    SOCKET.unlink(missing_ok=True)
    previous = os.umask(0o177)
    listener.bind(str(SOCKET))
    os.umask(previous)
    listener.listen()
    identity = SOCKET.stat().st_ino
    children: set[int] = set()
    try:
        while select.select([listener], [], [], IDLE_SECONDS)[0] or _alive(children):
            if select.select([listener], [], [], 0)[0]:
                connection, _ = listener.accept()
                child = os.fork()
                if child == 0:
                    listener.close()
                    _serve_one(connection)
                connection.close()
                children.add(child)
            _alive(children)
    finally:
        if SOCKET.exists() and SOCKET.stat().st_ino == identity:
            SOCKET.unlink()


def _alive(children: set[int]) -> bool:
    for child in list(children):
        if os.waitpid(child, os.WNOHANG)[0]:
            children.remove(child)
    return bool(children)


def _serve_one(connection: socket.socket) -> NoReturn:
    status = 1
    try:
        greeting, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        if not greeting:  # somebody only looked whether there is a process here
            os._exit(0)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        with connection.makefile("rb") as file:
            request = json.loads(file.readline())
        connection.sendall(b"+")
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_interrupt_when_closed, args=(connection,), daemon=True).start()
        status = _run_here(request["stage"], request["items"])
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # From here on the other end closes the connection because it has its answer.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            connection.sendall(str(status).encode())
        os._exit(status)


def _interrupt_when_closed(connection: socket.socket) -> None:
    """Interrupt the stage when the process that waits for it is interrupted or gone."""
    with contextlib.suppress(OSError):
        if connection.recv(1) == b"":
            os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    serve()
