"""Long computations in parts that survive a kill.

A part is a folder under a key made of all that determines it. It is written under a temporary name and renamed, and
is used again if the computation starts again. Parts are removed once the whole result is written.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from aopc.base.errors import InputError


class Parts:
    """The parts of one computation, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return (self._folder / name).exists()

    def __call__(self, name: str, write: Callable[[Path], None]) -> Path:
        """The folder of a part, after ``write(folder)`` wrote its files where it is not there yet."""
        path = self._folder / name
        if name not in self:
            temporary = self._folder / f".{name}"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            write(temporary)
            temporary.rename(path)
        return path


@contextmanager
def parts(cache: Path, identity: str) -> Iterator[Parts]:
    """A folder for the parts of one computation, in ``cache``, which is not under version control.

    It is named by a hash of all that determines the result (:func:`aopc.base.provenance.identity_hash`). Another
    process with the same identity waits. The parts are removed at the end of the context, and after an InputError in
    it, unless a file could not be written; not after anything else.
    """
    folder = cache / identity
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{identity}.lock"):
        try:
            yield Parts(folder)
        except InputError as error:
            # What cannot be written now may be written later, from the same parts.
            if not isinstance(error.__cause__, OSError):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
