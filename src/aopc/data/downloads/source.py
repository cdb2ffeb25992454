"""A file that somebody else publishes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aopc.base.arguments import as_integer
from aopc.base.errors import InputError
from aopc.base.names import nearest, require_safe_name
from aopc.base.text import readable, shown

#: What :meth:`Source.changed` takes.
_CHANGEABLE = ("name", "urls", "size", "checksum")
#: Checksum algorithm → hexadecimal digits.
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


@dataclass(frozen=True)
class Source:
    """Attributes
    ----------
    page
        Where its publishers describe it.
    licence
        Under what terms it is given out, in a few words.
    urls
        Mirrors, tried in turn; none where one must be registered to get it.
    size
        Bytes, where they are known for certain.
    checksum
        ``algorithm:hexadecimal`` (md5, sha1, sha256, sha512); None where none is published.
    about, images
        For planning: bytes, roughly, where ``size`` is not known, and how many images are in it.
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
            f"{self.name} is not in {folder}, and it needs an account: get it ({size}{checksum}) from {self.page} and"
            " put it there"
        )

    def changed(self, settings: Mapping[str, Any] | None, where: str) -> "Source":
        """The source with what the user sets otherwise: a mirror, or another edition's checksum.

        Another URL alone keeps the checksum; whoever gives another checksum takes the size off too, unless that is
        given as well. An InputError if there is no such setting, or it has no such value.
        """
        if settings is not None and not isinstance(settings, Mapping):
            raise InputError(f"{where} must be a section of settings; got {shown(settings)}")
        new = dict(settings or {})
        for name in new:
            if name not in _CHANGEABLE:
                raise InputError(f"unknown setting {shown(name)} in {where}: {nearest(name, _CHANGEABLE)}")
        if "checksum" in new:
            checksum = new["checksum"]
            new = {"size": None, **new, "checksum": None if checksum is None else _checksum(checksum, where)}
        urls = new.get("urls", self.urls)
        mirrors = tuple(urls) if isinstance(urls, list | tuple) else (urls,)
        if not all(isinstance(u, str) and u.startswith(("http://", "https://")) for u in mirrors):
            raise InputError(f"{where}: urls must be http or https addresses; got {urls!r}")
        if "name" in new:
            require_safe_name(f"name in {where}", new["name"])
        if new.get("size") is not None:
            as_integer(f"{where}: size", new["size"], 1, 2**62)
        return replace(self, **{**new, "urls": mirrors})


def of_one_archive(source: Source, name: str) -> Callable[[str, Mapping[str, Any]], list[Source]]:
    """What the data set ``name`` downloads, which has one archive, as in :data:`aopc.data.sources.DOWNLOADS`."""
    return lambda split, settings: [source.changed(settings.get("archive"), f"the archive of {name}")]


def _checksum(value: Any, where: str) -> str:
    algorithm, _, digest = str(value).lower().partition(":")
    if not re.fullmatch(r"[0-9a-f]*", digest) or _DIGITS.get(algorithm) != len(digest):
        raise InputError(
            f"{where}: a checksum is {', '.join(_DIGITS)} and hexadecimal digits, as in md5:0123…; got {value!r}"
        )
    return f"{algorithm}:{digest}"
