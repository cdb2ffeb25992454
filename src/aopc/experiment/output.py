"""The folder of results: which may be written to, and how new results come into the place of old ones.

Only what its manifest lists is ever replaced or removed (:mod:`aopc.base.manifest`). New results are written beside the
folder, under a hidden name, and then change places with it in one step, so that at each moment one of both is whole under
the folder's name; what a kill leaves beside it, the next run puts right.
"""

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from aopc.base.errors import InputError
from aopc.base.files import is_temporary, read_record, to_disk, write_record
from aopc.base.lock import lock
from aopc.base.manifest import MANIFEST, listed_in, remove_listed, what_is_not_ours, write_manifest

#: Of Linux (renameat2): two names change places.
_EXCHANGE, _AT_FDCWD = 2, -100
#: What the manifest of results says that are still being written.
_UNFINISHED = {"unfinished": True}


class Output:
    """A folder of results that this process alone writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new, self._old = (path.with_name(f".{path.name}.{kind}") for kind in ("new", "old"))

    def recover(self) -> None:
        """Put right what a killed run left: finish what was whole, and remove the rest."""
        for beside in (self._new, self._old):
            if not os.path.lexists(self.path) and _is_whole(beside):
                beside.rename(self.path)
            elif os.path.lexists(beside):
                _discard(beside)

    def check(self) -> None:
        """Raise an InputError if the folder holds anything but results of ours as they were written."""
        if self.path.is_dir() and (found := what_is_not_ours(self.path)):
            # What is computed stays, as where a disk is full: it can be written once this is moved.
            message = f"--out {self.path} holds {found}: give a new folder, or move that away first"
            raise InputError(message) from FileExistsError(found)

    def write(self, write: Callable[[Path], None], about: Mapping[str, Any]) -> None:
        """Have ``write(folder)`` write all results, and put them in the place of the earlier ones; ``about`` is what the
        manifest says beside the list of files. An InputError if they cannot be written.
        """
        try:
            self._new.mkdir()
            write_record(self._new / MANIFEST, _UNFINISHED)
            write(self._new)
            write_manifest(self._new, about)
            self.check()  # again: the work may have taken days
            self._exchange()
        except BaseException as error:
            with suppress(OSError, InputError):
                self.recover()
            if isinstance(error, OSError):
                raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
            raise

    def _exchange(self) -> None:
        if not self.path.exists() or not any(self.path.iterdir()):
            self._new.rename(self.path)
        else:
            shutil.copymode(self.path, self._new)
            if _change_places(self._new, self.path):
                self._new.rename(self._old)
            else:
                self.path.rename(self._old)
                self._new.rename(self.path)
        to_disk(self.path.parent)
        if self._old.exists():
            _discard(self._old)


def parts_folder(out: Path) -> Path:
    """Where what is computed lies until all is, beside the folder of results."""
    return out.with_name(f"{out.name}.partial")


@contextmanager
def output(out: Path, images: Path) -> Iterator[Output]:
    """The folder for results, held for this process, with all that may be wrong with it known before any work.

    ``out`` as the user gave it; ``images`` the folder of images that the results are of.

    Raises
    ------
    InputError
        If it is no place for results, holds something that aopc did not write, or another process writes to it.
    """
    with ExitStack() as stack:
        try:
            path = _place(out, images)
            stack.callback(_remove_empty, [parent for parent in path.parents if not parent.exists()])
            path.parent.mkdir(parents=True, exist_ok=True)
            busy = f"writes to {out} already: wait for it, or give another --out"
            stack.enter_context(lock(path.with_name(f".{path.name}.lock"), busy=busy))
            found = Output(path)
            found.recover()
            found.check()
        except OSError as error:
            raise InputError(f"cannot write {out}: {error.strerror or error}") from error
        yield found


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _place(out: Path, images: Path) -> Path:
    """Without links."""
    problem, advice = "", "give a new folder, as in --out results"
    try:
        path, here = out.resolve(), Path.cwd().resolve()
    except RuntimeError as error:
        raise InputError(f"--out {out} leads through links in a circle: {advice}") from error
    if out.is_symlink():
        problem, advice = "is a link", "give the folder that it leads to"
    elif path == here or path in here.parents:
        problem = "is the current folder, or holds it"
    elif path in (home := _home(), *home.parents):
        problem = "is the home folder, or holds it"
    elif images.resolve().is_relative_to(path):
        problem = f"is or holds the folder of images {images}"
    elif path.is_mount() or path in _bound():
        problem, advice = "is where a disk or volume is mounted", "give a folder in it"
    elif path.exists() and not path.is_dir():
        problem = "is no folder"
    elif path.exists() and not os.access(path, os.W_OK):
        problem = "is read-only"
    elif out.parts[:1] and out.parts[0].startswith("~"):
        problem, advice = "begins with ~, which only a shell takes for a home folder", "write the folder's path out"
    elif above := next((p for p in path.parents if (p / MANIFEST).exists()), None):
        problem = f"is in {above}, which holds other results"
    elif (partial := parts_folder(path)).is_symlink() or (partial.exists() and not partial.is_dir()):
        problem, advice = f"needs {partial} for its work, which is no folder", "move that away"
    if problem:
        raise InputError(f"--out {out} {problem}: {advice}")
    return path


def _bound() -> set[Path]:
    """Where Linux has something mounted: parts of the same disk, too, which look like any folder."""
    with suppress(OSError):
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
        return {Path(os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin1"))) for line in lines}
    return set()


def _home() -> Path:
    try:
        return Path.home().resolve()
    except RuntimeError:
        return Path("/")


def _is_whole(folder: Path) -> bool:
    try:
        return bool(listed_in(folder))
    except InputError:
        return False


def _discard(folder: Path) -> None:
    """Remove results that are in nobody's way; an InputError if something else is under that name, or in it."""
    try:
        if folder.is_dir() and not folder.is_symlink():
            if _is_whole(folder):
                remove_listed(folder)
            # Killed before its first file was whole.
            elif all(_is_first(path) for path in folder.iterdir()) or read_record(folder / MANIFEST) == _UNFINISHED:
                shutil.rmtree(folder)
    except (OSError, InputError):
        pass
    if os.path.lexists(folder):
        raise InputError(f"{folder} is in the way, and holds something that aopc did not write: move it away")


def _is_first(path: Path) -> bool:
    return is_temporary(path) and path.name.endswith(f".{MANIFEST}")


def _change_places(one: Path, other: Path) -> bool:
    """Whether the system could do it."""
    with suppress(AttributeError, OSError):
        names = (os.fsencode(one), os.fsencode(other))
        return ctypes.CDLL(None).renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0
    return False
