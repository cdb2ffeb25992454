"""A file that somebody else publishes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from aopc.base.errors import InputError
from aopc.base.names import nearest


@dataclass(frozen=True)
class Source:
    """Attributes
    ----------
    name
        Of the file.
    page
        Where its publishers describe it.
    licence
        Under what terms it is given out, in a few words.
    urls
        Mirrors, tried in turn; none where one must be registered to get it.
    size
        Bytes, where they are known for certain.
    checksum
        ``algorithm:hexadecimal`` (md5, sha1, sha256); None where none is published.
    about
        Bytes, roughly, for planning where ``size`` is not known.
    images
        How many images are in it, for planning.
    """

    name: str
    page: str
    licence: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    checksum: str | None = None
    about: int = 0
    images: int = 0

    @property
    def bytes(self) -> int:
        """Its size, roughly where it is not known for certain."""
        return self.size or self.about

    def instructions(self, folder: Path) -> str:
        """How to get a file that has no open mirror."""
        size = readable(self.bytes) + (f" ({self.size} bytes)" if self.size else "")
        checksum = f", {self.checksum.replace(':', ' ')}" if self.checksum else ""
        return (
            f"{self.name} is not in {folder}, and it needs an account: get it ({size}{checksum}) from"
            f" {self.page} and put it there"
        )

    def changed(self, settings: Mapping[str, Any] | None, where: str) -> "Source":
        """The source with what the user sets otherwise: a mirror, or another edition's checksum.

        Another URL alone keeps the checksum; whoever gives another checksum takes the size off too,
        unless that is given as well.

        Raises
        ------
        InputError
            If there is no such setting.
        """
        if not settings:
            return self
        known = {f.name for f in fields(self)} - {"page", "licence", "about", "images"}
        for name in settings:
            if name not in known:
                raise InputError(f"unknown setting {name!r} in {where}: {nearest(name, known)}")
        new = dict(settings)
        if "urls" in new:
            listed = isinstance(new["urls"], list | tuple)
            new["urls"] = tuple(new["urls"]) if listed else (new["urls"],)
        if new.get("checksum") is not None:
            new["checksum"] = _checksum(new["checksum"], where)
        if "checksum" in new:
            new = {"size": None, **new}
        urls = new.get("urls", ())
        if not all(isinstance(u, str) and u.startswith(("http://", "https://")) for u in urls):
            raise InputError(
                f"{where}: urls must be http or https addresses; got {settings['urls']!r}"
            )
        return replace(self, **new)


#: Checksum algorithm → hexadecimal digits.
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


def _checksum(value: Any, where: str) -> str:
    algorithm, _, digest = str(value).lower().partition(":")
    if not re.fullmatch(r"[0-9a-f]*", digest) or _DIGITS.get(algorithm) != len(digest):
        raise InputError(
            f"{where}: a checksum is {', '.join(_DIGITS)} and hexadecimal digits, as in md5:0123…; got"
            f" {value!r}"
        )
    return f"{algorithm}:{digest}"


def readable(size: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> readable(6744924160)
    '6.7 GB'
    """
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.1f} {unit}" if unit != "bytes" else f"{size:.0f} bytes"
        size /= 1000
    raise AssertionError
