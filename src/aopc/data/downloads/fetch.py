"""Get a file over HTTP, whole or not at all.

requests does the talking. What it lacks, and pooch and torch.hub with it: going on where a
connection broke off (HTTP ranges), trying mirrors in turn, and checking while the bytes arrive.
"""

import contextlib
import hashlib
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from filelock import FileLock

from aopc.base.errors import InputError
from aopc.base.files import atomic, read_json
from aopc.base.progress import byte_bar
from aopc.data.downloads.source import Source, readable

CHUNK = 2**20
#: (to connect, between two chunks) in seconds.
TIMEOUT = (10.0, 60.0)
#: Tries in a row that brought nothing, before the next mirror's turn; and tries in all.
FRUITLESS_TRIES, ALL_TRIES = 5, 200
#: Seconds before the second try; doubled for each further one.
BACK_OFF = 1.0
#: Left free on the disk.
SPARE_BYTES = 2**28

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class File:
    """A file that is here, with the checksum that it has (``algorithm:hexadecimal``)."""

    path: Path
    checksum: str


class _MirrorError(Exception):
    """A mirror that will not give the file."""


class _BrokenOffError(Exception):
    """The transfer stopped; another try may go on."""


def fetch(source: Source, folder: Path) -> File:
    """The file of a source, from ``folder`` or from its mirrors.

    An interrupted download goes on where it was, in this call or in a later one. A file that the
    user put into the folder is checked like a downloaded one, once.

    Raises
    ------
    InputError
        If it cannot be had, is not the published file, or the disk is too small; the message says
        what to do. Nothing under the file's name is ever incomplete.
    """
    path = folder / source.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.name}.lock"):
            if path.is_file():
                return _checked(source, path)
            if not source.urls:
                raise InputError(source.instructions(folder))
            return _from_mirrors(source, path)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error


def is_here(source: Source, folder: Path) -> bool:
    """Whether the file lies in the folder; it may still be found wrong by :func:`fetch`."""
    return (folder / source.name).is_file()


def _from_mirrors(source: Source, path: Path) -> File:
    problems = []
    for url in source.urls:
        try:
            checksum = _from_mirror(url, source, path)
        except _MirrorError as error:
            problems.append(f"{url} {error}")
            continue
        _part(path).replace(path)
        _origin(path).unlink(missing_ok=True)
        _remember(path, checksum)
        return File(path, checksum)
    raise InputError(
        f"cannot download {source.name}: {'; '.join(problems)}. See {source.page}; a file that you"
        f" have from elsewhere goes to {path.parent}"
    )


def _from_mirror(url: str, source: Source, path: Path) -> str:
    """The checksum of the whole file in ``path``'s part file."""
    fruitless, wrong, part = 0, 0, _part(path)
    if source.size and _size(part) == source.size and source.checksum:
        checksum = _digest_of(source, part)  # killed between the last byte and the new name
        if checksum == source.checksum:
            return checksum
    for _ in range(ALL_TRIES):
        before = _size(part)
        try:
            checksum = _transfer(url, source, path)
        except (requests.RequestException, urllib3.exceptions.HTTPError, _BrokenOffError) as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless >= FRUITLESS_TRIES:
                raise _MirrorError(f"does not deliver ({_reason(error)})") from error
            time.sleep(BACK_OFF * 2**fruitless)
            continue
        if source.checksum in (None, checksum):
            return checksum
        part.unlink()
        wrong += 1
        if not before or wrong > 1:
            raise _MirrorError(
                f"has another file: its checksum is {checksum}, not {source.checksum}"
            )
        # What an earlier try had left may have been of another file: once more from the start.
    raise _MirrorError(f"broke off {ALL_TRIES} times")


def _transfer(url: str, source: Source, path: Path) -> str:
    part, origin = _part(path), _origin(path)
    have = _size(part)
    started = _read_origin(origin)
    if have and source.checksum is None and started.get("url") != url:
        have = 0  # parts of two mirrors go together only where a checksum tells that they do
    if have and source.checksum is None and not started.get("validator"):
        have = 0  # nor parts of two editions, which nothing would tell apart
    headers = {"Accept-Encoding": "identity", "User-Agent": "aopc (research replication)"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if started.get("url") == url and started.get("validator"):
            headers["If-Range"] = started["validator"]
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        have, total = _agreed(answer, have, source, part)
        need = (total - have if total is not None else 0) + SPARE_BYTES
        free = shutil.disk_usage(part.parent).free
        if free < need:
            raise InputError(
                f"{source.name} needs {readable(need)} more on the disk of {part.parent}, which has"
                f" {readable(free)} free: make room, or name another folder in AOPC_DOWNLOADS"
            )
        if not have:
            etag = answer.headers.get("ETag", "")
            weak = not etag or etag.startswith("W/")
            validator = answer.headers.get("Last-Modified", "") if weak else etag
            note = {"url": url, "validator": validator}
            with atomic(origin) as temporary:
                temporary.write_text(json.dumps(note), encoding="utf-8")
        digest = hashlib.new(_algorithm(source))
        with byte_bar(total, source.name) as progress, part.open("r+b" if have else "wb") as file:
            _digest_first(file, have, digest, progress)
            file.truncate()
            arrived, most = have, total or source.size
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                arrived += len(chunk)
                if most is not None and arrived > most:
                    raise _MirrorError(f"sends more than the {most} bytes of the file")
                file.write(chunk)
                digest.update(chunk)
                progress(len(chunk))
    if total is not None and _size(part) != total:
        raise _BrokenOffError(f"{_size(part)} of {total} bytes arrived")
    return f"{digest.name}:{digest.hexdigest()}"


def _agreed(
    answer: requests.Response, have: int, source: Source, part: Path
) -> tuple[int, int | None]:
    """(bytes that need not come again, bytes of the whole file), from the head of the answer."""
    status, head = answer.status_code, answer.headers
    if status == 416:
        part.unlink(missing_ok=True)
        raise _BrokenOffError("it refused to go on, so the download starts again")
    if status in _TRY_AGAIN:
        raise _BrokenOffError(f"status {status}")
    if status not in (200, 206):
        raise _MirrorError(f"answered with status {status}")
    if head.get("Content-Type", "").startswith("text/html"):
        raise _MirrorError("answered with a web page, not the file")
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", head.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            part.unlink(missing_ok=True)
            raise _BrokenOffError("it went on at another place, so the download starts again")
        total = int(found[2]) if found[2] != "*" else source.size
    else:
        have = 0
        said = head.get("Content-Length", "")
        total = int(said) if said.isdigit() else source.size
    if source.size and total not in (None, source.size):
        raise _MirrorError(f"has a file of {total} bytes, not {source.size}")
    return have, total


def _digest_first(file: Any, count: int, digest: Any, progress: Any) -> None:
    """Digest the first ``count`` bytes of a file and stand behind them."""
    while count:
        chunk = file.read(min(CHUNK, count))
        if not chunk:
            raise _BrokenOffError("the file became shorter while it was read")
        digest.update(chunk)
        progress(len(chunk))
        count -= len(chunk)


def _digest_of(source: Source, path: Path) -> str:
    digest, size = hashlib.new(_algorithm(source)), _size(path)
    with path.open("rb") as file, byte_bar(size, f"check {source.name}") as progress:
        _digest_first(file, size, digest, progress)
    return f"{digest.name}:{digest.hexdigest()}"


def _checked(source: Source, path: Path) -> File:
    remembered = _remembered(path)
    if remembered is None or remembered.partition(":")[0] != _algorithm(source):
        size = _size(path)
        if source.size and size != source.size:
            raise _wrong(path, f"it has {size} bytes, the published file {source.size}")
        remembered = _digest_of(source, path)
    if source.checksum not in (None, remembered):
        raise _wrong(
            path, f"its checksum is {remembered}, that of the published file {source.checksum}"
        )
    _remember(path, remembered)
    return File(path, remembered)


def _wrong(path: Path, how: str) -> InputError:
    return InputError(f"{path} is not the published file: {how}. Remove it and get it again")


def _algorithm(source: Source) -> str:
    return source.checksum.partition(":")[0] if source.checksum else "sha256"


def _remember(path: Path, checksum: str) -> None:
    """Note that a file has a checksum, so that many gigabytes are read only once for it."""
    found = path.stat()
    note = {"size": found.st_size, "modified": found.st_mtime_ns, "checksum": checksum}
    with atomic(_note(path)) as temporary:
        temporary.write_text(json.dumps(note), encoding="utf-8")


def _remembered(path: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note, found = read_json(_note(path)), path.stat()
        if (note["size"], note["modified"]) == (found.st_size, found.st_mtime_ns):
            return str(note["checksum"])
    return None


def _read_origin(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        content = read_json(path)
        if isinstance(content, dict):
            return content
    return {}


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _origin(path: Path) -> Path:
    return path.with_name(f".{path.name}.part.json")


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}…"
