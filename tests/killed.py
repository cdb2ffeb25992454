"""Processes that are killed before a chosen change of files, and files that are damaged in every way."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.chmod", "os.symlink"}


def killed_before(change: int, work: Callable[[], object], folder: Path) -> bool:
    """Do the work in a forked process that is killed before its ``change``-th change of files in the folder, the first
    being 1; whether it was, as it is not where there are fewer.
    """
    child = os.fork()
    if child == 0:
        _kill_before(change, str(folder))
        try:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            work()
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _kill_before(change: int, folder: str) -> None:
    left = change

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            is_change = isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            is_change = event in _CHANGES
        exchanged = event == "ctypes.dlsym" and arguments[1] == "renameat2"
        if exchanged or (is_change and _path(arguments[0]).startswith(folder)):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _path(argument: Any) -> str:
    return str(Path(os.fsdecode(argument)).absolute()) if isinstance(argument, str | bytes | os.PathLike) else ""


def snapshot(folder: Path) -> dict[str, bytes | str | None]:
    """All that is in a folder: content of files, targets of links, None for folders."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def damages(content: bytes, flips: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """What may become of a file's content: bits flipped, cut off, lengthened, emptied, overwritten."""
    random = np.random.default_rng(seed)
    for bit in random.choice(len(content) * 8, min(flips, len(content) * 8), replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield f"bit {bit}", bytes(flipped)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        yield f"cut off at {length}", content[:length]
    yield "one byte more", content + b"\n"
    yield "a zero page", content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
    yield "noise", random.bytes(len(content))
