"""Locks between processes, one a thing that is written.

A lock is one of POSIX's (fcntl): it ends with the process that holds it, however that ends, and it is not inherited by
processes that are forked from it. Network file systems know it too, where their server does (NFS version 4; on older
ones it holds between the processes of one machine only).
"""

import errno
import fcntl
import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aopc.base.errors import InputError

#: By this process: POSIX's locks do not keep a process from what it holds itself.
_held: set[Path] = set()
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
#: What is in a lock file, or was when its process was killed.
_HOLDER = re.compile(rb"(\d+ on \S*)?")


@contextmanager
def lock(path: Path, *, busy: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file ``path`` in the context; it is removed at the end.

    ``busy`` is what to say where another process holds it, behind that process' name; ``wait`` whether to wait for the
    other to end then, which is said. An InputError if another process, or another part of this one, holds it, the file
    cannot be written, or something else lies there, which is left as it is.
    """
    path = path.absolute()
    if path in _held:
        raise InputError(f"this process {busy}")
    try:
        descriptor = _locked(path, busy, wait)
    except OSError as error:
        if path.is_symlink():
            raise InputError(f"{path} is in the way, and is no lock of aopc: move it away") from error
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        # Before it is let go: who takes it now finds that it is gone, and makes another.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, busy: str, wait: bool) -> int:
    """An open lock file that is ours, and is the one that others find under the name."""
    while True:
        # Through a link it would be another file that is written to.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            _require_lock(descriptor, path)
            _take(descriptor, busy, wait)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    _name_holder(descriptor, path)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _require_lock(descriptor: int, path: Path) -> None:
    about = os.fstat(descriptor)
    ours = stat.S_ISREG(about.st_mode) and about.st_nlink <= 1
    if not (ours and _HOLDER.fullmatch(os.pread(descriptor, 300, 0))):
        raise InputError(f"{path} is in the way, and is no lock of aopc: move it away")


def _name_holder(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError:  # as on a full disk
        path.unlink(missing_ok=True)
        raise


def _take(descriptor: int, busy: str, wait: bool) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace") or "unknown"
        if not wait:
            raise InputError(f"the process {holder} {busy}") from error
        print(f"aopc: the process {holder} {busy}; waiting for it", file=sys.stderr)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print("aopc: this file system has no locks: see that no other run writes here", file=sys.stderr)
