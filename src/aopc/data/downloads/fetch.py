"""Get a file over HTTP, whole or not at all.

requests does the talking. What it lacks, and pooch and torch.hub with it: going on where a connection broke off (HTTP
ranges), trying mirrors in turn, and checking while the bytes arrive.
"""

import contextlib
import hashlib
import os
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
from aopc.base.files import read_json, write_json
from aopc.base.progress import byte_bar
from aopc.base.text import readable, without_secrets
from aopc.data.downloads.source import Source

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

    An interrupted download goes on where it was, in this call or in a later one. A file that the user put into the
    folder is checked like a downloaded one, once.

    Raises
    ------
    InputError
        If it cannot be had, is not the published file, or the disk is too small; the message says what to do. Nothing
        under the file's name is ever incomplete.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.name}.lock"):
            if is_here(source, folder):
                return _Download(source, folder).checked()
            if not source.urls:
                raise InputError(source.instructions(folder))
            return _Download(source, folder).from_mirrors()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error


def is_here(source: Source, folder: Path) -> bool:
    """Whether the file lies in the folder; it may still be found wrong by :func:`fetch`."""
    return (folder / source.name).is_file()


class _Download:
    """A file, and what lies beside it: the part that has arrived, a note on where that is from, and a note on the
    checksum that the whole file has, so that many gigabytes are read only once for it.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.source, self.folder, self.path = source, folder, folder / source.name
        self.part = folder / f"{source.name}.part"
        self.origin = folder / f".{source.name}.part.json"
        self.note = folder / f".{source.name}.checked.json"
        self.algorithm = source.checksum.partition(":")[0] if source.checksum else "sha256"

    @property
    def arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def checked(self) -> File:
        source, path, note = self.source, self.path, _read_note(self.note)
        found, checksum = path.stat(), str(note.get("checksum"))
        if (
            any(note.get(key) != value for key, value in _state(found).items())
            or checksum.partition(":")[0] != self.algorithm
        ):
            if source.size and found.st_size != source.size:
                raise self._wrong(f"it has {found.st_size} bytes, the published file {source.size}")
            checksum = self._digest_of(path)
        if source.checksum not in (None, checksum):
            raise self._wrong(f"its checksum is {checksum}, that of the published file {source.checksum}")
        return self._noted(checksum)

    def _wrong(self, how: str) -> InputError:
        return InputError(f"{self.path} is not the published file: {how}. Remove it and get it again")

    def _noted(self, checksum: str) -> File:
        found = self.path.stat()
        write_json(self.note, {**_state(found), "checksum": checksum})
        return File(self.path, checksum)

    def from_mirrors(self) -> File:
        problems = []
        for url in self.source.urls:
            try:
                checksum = self._from_mirror(url)
            except _MirrorError as error:
                problems.append(without_secrets(f"{url} {error}"))
                continue
            self.part.replace(self.path)
            self.origin.unlink(missing_ok=True)
            return self._noted(checksum)
        raise InputError(
            f"cannot download {self.source.name}: {'; '.join(problems)}. See {self.source.page}; a file that you have"
            f" from elsewhere goes to {self.folder}"
        )

    def _from_mirror(self, url: str) -> str:
        """The checksum of the whole file, which is in the part then."""
        fruitless, wrong, expected = 0, 0, self.source.checksum
        if expected and self.source.size and self.arrived == self.source.size:
            checksum = self._digest_of(self.part)  # killed between the last byte and the new name
            if checksum == expected:
                return checksum
        for _ in range(ALL_TRIES):
            before = self.arrived
            try:
                checksum = self._transfer(url)
            except (requests.RequestException, urllib3.exceptions.HTTPError, _BrokenOffError) as error:
                fruitless = 0 if self.arrived > before else fruitless + 1
                if fruitless >= FRUITLESS_TRIES:
                    raise _MirrorError(f"does not deliver ({_reason(error)})") from error
                time.sleep(BACK_OFF * 2**fruitless)
                continue
            if expected in (None, checksum):
                return checksum
            self.part.unlink()
            wrong += 1
            if not before or wrong > 1:
                raise _MirrorError(f"has another file: its checksum is {checksum}, not {expected}")
            # What an earlier try had left may have been of another file: once more from the start.
        raise _MirrorError(f"broke off {ALL_TRIES} times")

    def _transfer(self, url: str) -> str:
        source, have, started = self.source, self.arrived, _read_note(self.origin)
        validator = started.get("validator") if started.get("url") == without_secrets(url) else None
        if source.checksum is None and not validator:
            have = 0  # nothing would tell that parts of two mirrors, or of two editions, do not go together
        headers = {"Accept-Encoding": "identity", "User-Agent": "aopc (research replication)"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            have, total = self._agreed(answer, have)
            need = (total - have if total is not None else 0) + SPARE_BYTES
            free = shutil.disk_usage(self.folder).free
            if free < need:
                raise InputError(
                    f"{source.name} needs {readable(need)} more on the disk of {self.folder}, which has"
                    f" {readable(free)} free: make room, or name another folder in AOPC_DOWNLOADS"
                )
            if not have:
                etag = answer.headers.get("ETag", "")
                weak = not etag or etag.startswith("W/")
                validator = answer.headers.get("Last-Modified", "") if weak else etag
                write_json(self.origin, {"url": without_secrets(url), "validator": validator})
            digest = hashlib.new(self.algorithm)
            with byte_bar(total, source.name) as progress, self.part.open("r+b" if have else "wb") as file:
                _digest_first(file, have, digest, progress)
                file.truncate()
                arrived = have
                for chunk in answer.raw.stream(CHUNK, decode_content=False):
                    arrived += len(chunk)
                    if total is not None and arrived > total:
                        raise _MirrorError(f"sends more than the {total} bytes of the file")
                    file.write(chunk)
                    digest.update(chunk)
                    progress(len(chunk))
        if total not in (None, self.arrived):
            raise _BrokenOffError(f"{self.arrived} of {total} bytes arrived")
        return f"{digest.name}:{digest.hexdigest()}"

    def _agreed(self, answer: requests.Response, have: int) -> tuple[int, int | None]:
        """(bytes that need not come again, bytes of the whole file), from the head of the answer."""
        status, head, total = answer.status_code, answer.headers, self.source.size
        if status == 416:
            self.part.unlink(missing_ok=True)
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
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("it went on at another place, so the download starts again")
            said = found[2]
        else:
            have, said = 0, head.get("Content-Length", "")
        if said.isdigit():
            total = int(said)
        if self.source.size and total != self.source.size:
            raise _MirrorError(f"has a file of {total} bytes, not {self.source.size}")
        return have, total

    def _digest_of(self, path: Path) -> str:
        digest, size = hashlib.new(self.algorithm), path.stat().st_size
        with path.open("rb") as file, byte_bar(size, f"check {self.source.name}") as progress:
            _digest_first(file, size, digest, progress)
        return f"{digest.name}:{digest.hexdigest()}"


def _digest_first(file: Any, count: int, digest: Any, progress: Any) -> None:
    """Digest the first ``count`` bytes of a file and stand behind them."""
    while count:
        chunk = file.read(min(CHUNK, count))
        if not chunk:
            raise _BrokenOffError("the file became shorter while it was read")
        digest.update(chunk)
        progress(len(chunk))
        count -= len(chunk)


def _state(found: os.stat_result) -> dict[str, int]:
    """What differs once a file was written to, also by a program that keeps its date."""
    return {"size": found.st_size, "modified": found.st_mtime_ns, "changed": found.st_ctime_ns}


def _read_note(path: Path) -> dict[str, Any]:
    """What a note says, nothing where it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError):
        content = read_json(path)
        if isinstance(content, dict):
            return content
    return {}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}…"
