"""Files that carry a digest of their own content and say where they belong.

A sealed file ends with, or holds in its metadata, one JSON object of ours: what the file says about itself (its
*origin*), its ``place``, and last the ``digest`` of all its other bytes. So one changed bit shows wherever it is, and so
does a file of the right kind at the wrong place. The formats stay what they are: numpy, torch and zip pass over what
follows their data, and Parquet has metadata for it.
"""

import hashlib
import json
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aopc.base.errors import DamagedError

_DIGITS = 32
_BLANK = b"0" * _DIGITS
_MARK = b'"digest": "'
#: What was found whole in this process: path → what the file system says of it.
_whole: dict[Path, tuple[int, ...]] = {}


def description(path: Path, origin: Mapping[str, Any], indent: int | None = None) -> str:
    """The JSON object for a file that will lie at ``path``, its digest still blank."""
    return json.dumps({**origin, "place": _place(path), "digest": _BLANK.decode()}, indent=indent)


def seal(file: Path) -> None:
    """Fill in the digest, once all else is written."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as content:
        start = content.rfind(_MARK) + len(_MARK)
        assert content[start : start + _DIGITS] == _BLANK
        content[start : start + _DIGITS] = _digest(content, start)
        content.flush()


def append(file: Path, path: Path, origin: Mapping[str, Any]) -> None:
    """Seal a file that is written, whose format lets bytes follow the data."""
    with file.open("ab") as opened:
        opened.write(b"\n" + description(path, origin).encode() + b"\n")
    seal(file)


def verify(path: Path) -> None:
    """Read a sealed file once a process, and again where it was changed since.

    Raises
    ------
    DamagedError
        If it is missing, cannot be read, has no digest, or not that of its content.
    """
    with _opened(path) as content:
        found = path.stat()
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if _whole.get(path.absolute()) == state:
            return
        start = content.rfind(_MARK) + len(_MARK)
        if start < len(_MARK):
            raise DamagedError(path, "is damaged, or of an older version: it has no digest of its content")
        if content[start : start + _DIGITS] != _digest(content, start):
            raise DamagedError(path, "is damaged: its content is not what was written")
        _whole[path.absolute()] = state


def checked(path: Path, text: bytes | str) -> dict[str, Any]:
    """The JSON object of a verified file, with ``place`` and ``digest``; DamagedError if the file belongs elsewhere."""
    try:
        found = dict(json.loads(text))
        place = found["place"]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(path, "is another file than belongs there") from error
    if not f"/{path.absolute().as_posix()}".endswith(f"/{place}"):
        raise DamagedError(path, f"is another file: it was written as {place}")
    return found


def appended(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON object that :func:`append` wrote, and where it begins. Errors as of the two functions above."""
    verify(path)
    with _opened(path) as content:
        start = content.rfind(b"\n", 0, len(content) - 1)
        text = content[start + 1 :]
    return checked(path, text), start


def without_seal(found: Mapping[str, Any]) -> dict[str, Any]:
    """The origin alone."""
    return {key: value for key, value in found.items() if key not in ("place", "digest")}


def _place(path: Path) -> str:
    """The pipeline's files, whose paths are relative to the profile's folder, belong there. A folder of the user's may
    be moved: of its files it is the name.
    """
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    try:
        # Opening a pipe would wait for whoever writes to it.
        with open(path, "rb", opener=_without_waiting) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise DamagedError(path, "is no file")
            if not about.st_size:
                raise DamagedError(path, "is damaged: it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield content
    except FileNotFoundError as error:
        raise DamagedError(path, "is missing") from error
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror or error}") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _digest(content: mmap.mmap, start: int) -> bytes:
    """Of all bytes, those of the digest itself taken as blank."""
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    with memoryview(content) as view, view[:start] as before, view[start + _DIGITS :] as behind:
        digest.update(before)
        digest.update(_BLANK)
        digest.update(behind)
    return digest.hexdigest().encode()
