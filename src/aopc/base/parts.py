"""Long computations in parts that survive a kill.

A part is a folder under a key made of all that determines it. It is written under a temporary name and renamed, and
is used again if the computation starts again and its files are still what was written. Parts are removed once the whole
result is written.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aopc.base.errors import DamagedError, InputError
from aopc.base.files import read_record, write_record
from aopc.base.lock import lock
from aopc.base.provenance import file_hash

#: Beside a part's files: which part it is, and their hashes.
CONTENTS = "contents.json"


class Parts:
    """The parts of one computation, by name."""

    def __init__(self, folder: Path) -> None:
        # Absolute: its files are written under another name than they are read under.
        self._folder = folder.absolute()
        self._whole: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether the part is there; one that is damaged, or another, is removed, which is said."""
        path = self._folder / name
        if name not in self._whole and os.path.lexists(path):
            try:
                self._check(path)
                self._whole.add(name)
            except (InputError, OSError) as error:
                print(f"aopc: {error}; this part is computed again", file=sys.stderr)
                _remove(path)
        return name in self._whole

    def _check(self, path: Path) -> None:
        about = read_record(path / CONTENTS)
        if about["part"] != self._name(path.name):
            raise DamagedError(path, f"is another part, {about['part']}")
        for name, digest in about["files"].items():
            if file_hash(path / name) != digest:
                raise DamagedError(path / name, "is damaged: its content is not what was written")

    def _name(self, name: str) -> str:
        return f"{self._folder.name}/{name}"

    def __call__(self, name: str, write: Callable[[Path], None]) -> Path:
        """The folder of a part, after ``write(folder)`` wrote its files where it is not there yet."""
        path = self._folder / name
        if name not in self:
            temporary = self._folder / f".{name}"
            try:
                _remove(temporary)
                temporary.mkdir(parents=True)
                write(temporary)
                files = {f.name: file_hash(f) for f in sorted(temporary.iterdir())}
                write_record(temporary / CONTENTS, {"part": self._name(name), "files": files}, durable=False)
                temporary.rename(path)
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror or error}") from error
            self._whole.add(name)
        return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def parts(cache: Path, identity: str) -> Iterator[Parts]:
    """A folder for the parts of one computation, in ``cache``, which is not under version control.

    It is named by a hash of all that determines the result (:func:`aopc.base.provenance.identity_hash`). Another
    process with the same identity waits. The parts are removed at the end of the context, and after an InputError in
    it, unless a file could not be read or written; not after anything else.
    """
    folder = cache / identity
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {cache}: {error.strerror or error}") from error
    with lock(cache / f"{identity}.lock", busy=f"computes the same parts in {cache}", wait=True):
        if not folder.is_dir():
            _remove(folder)
        try:
            yield Parts(folder)
        except InputError as error:
            # What cannot be written now may be written later, from the same parts; one that is damaged is found then.
            if not isinstance(error, DamagedError) and not isinstance(error.__cause__, OSError):
                _remove(folder)
            raise
        _remove(folder)


def forget(cache: Path, identity: str) -> None:
    """Remove what a kill left of a computation whose result is there."""
    if (cache / identity).exists() or (cache / f"{identity}.lock").exists():
        with parts(cache, identity):
            pass
