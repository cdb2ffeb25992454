"""Take some images out of a large tar archive in one pass.

Nothing is ever written under a name that an archive gives: only regular files whose names the caller knows are taken,
into one new folder. An archive with a member that would lead out of its folder is refused as a whole, since no
publisher's archive has one.
"""

import bz2
import gzip
import hashlib
import inspect
import json
import lzma
import os
import shutil
import tarfile
import zlib
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from filelock import FileLock

from aopc.base.errors import DamagedError, InputError
from aopc.base.files import read_record, write_record
from aopc.base.places import downloads_folder
from aopc.base.progress import byte_bar
from aopc.base.provenance import file_hash
from aopc.data.downloads.fetch import File, fetch
from aopc.data.downloads.source import Source
from aopc.data.folder import ImageFolder
from aopc.data.subset import Subset

#: No single image of these data sets comes near.
LARGEST_IMAGE = 2**27
#: Nor any network.
LARGEST_MEMBER = 2**30
#: Names and headers of a member, bytes and number in a row; more is an attack on our memory.
LARGEST_HEADER, MOST_HEADERS = 2**20, 20

#: Images and weights hardly compress; no publisher's archive is larger inside than so many times its size.
LARGEST_RATIO = 100
#: How a compressed file begins → what reads it.
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}

#: A member's name → the image's id, None for what is no image of the data set.
Naming = Callable[[str], str | None]

#: Types of members that say more about the next one; each is read whole.
_EXTRA = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
_DAMAGED = (
    tarfile.TarError,
    EOFError,
    IndexError,
    OverflowError,
    RecursionError,
    ValueError,
    lzma.LZMAError,
    zlib.error,
)


class _StrictTarInfo(tarfile.TarInfo):
    """Headers that tarfile would be lenient about.

    It takes an archive that is cut off or damaged between two members for one that ends there, and reads the long
    names and extended headers that a member declares into memory, however long.
    """

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> "_StrictTarInfo":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}") from error

    def _proc_member(self, archive: "_StrictTarFile") -> Any:
        if self.type in _EXTRA:
            # What concerns the whole archive stays in memory.
            read = archive.header_bytes + max(self.size, tarfile.BLOCKSIZE)
            archive.header_bytes = read if self.type == tarfile.XGLTYPE else 0
            archive.header_depth += 1
            if read > LARGEST_HEADER or archive.header_depth > MOST_HEADERS:
                raise tarfile.ReadError(f"a header of {self.size} bytes, the {archive.header_depth}th in a row")
        else:
            archive.header_depth = 0
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse file, which no image is")
        return super()._proc_member(archive)  # type: ignore[misc]


class _StrictTarFile(tarfile.TarFile):
    tarinfo = _StrictTarInfo
    members: list[tarfile.TarInfo]
    header_bytes = header_depth = 0


def fetch_subset(source: Source, name_of: Naming, subset: Subset) -> tuple[ImageFolder, dict[str, str]]:
    """The images of a subset of a published archive, not yet checked, and the archive's name and checksum. Errors as
    of :func:`fetch` and :func:`unpack_subset`.
    """
    downloads = downloads_folder()
    file = fetch(source, downloads)
    root, ids = unpack_subset(file, downloads / "subsets", name_of, subset)
    return ImageFolder(root, tuple(ids)), {source.name: file.checksum}


def unpack_subset(archive: File, cache: Path, name_of: Naming, subset: Subset) -> tuple[Path, list[str]]:
    """The images of a subset in a new folder below ``cache``, or in that of an earlier call.

    One pass over the archive with bounded memory: an image that belongs to the subset of what was met so far is
    written, and removed when a better one comes.

    Returns
    -------
    The folder, and the ids of the images in it, which are their paths below it, in their order.

    Raises
    ------
    InputError
        If the archive is damaged, cut off, hostile, or holds fewer images.
    """
    identity = [archive.path.name, archive.checksum, subset.identity, _rule_version(name_of)]
    key = hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest()
    folder = cache / f"{archive.path.name.partition('.')[0]}-{key}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{folder.name}.lock"):
            if not folder.is_dir():
                _unpack_whole(archive.path, folder, name_of, subset)
    except OSError as error:
        raise InputError(f"cannot write to {cache}: {error.strerror or error}") from error
    ids = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if len(ids) != subset.count:
        raise InputError(f"{folder} holds {len(ids)} files instead of {subset.count}: something changed it; remove it")
    try:
        if read_record(_contents(folder)) != _digests(folder, ids):
            raise InputError(f"{folder} is damaged: something changed an image in it; remove it")
    except DamagedError as error:
        raise InputError(f"{error}; remove {folder}, which it belongs to") from error
    return folder, ids


def _contents(folder: Path) -> Path:
    """Beside the folder: what was unpacked."""
    return folder.with_name(f".{folder.name}.json")


def _digests(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    return {image_id: file_hash(folder / image_id) for image_id in ids}


def _rule_version(name_of: Naming) -> str:
    """A hash of the text that says which images belong to the data set."""
    module = Path(inspect.getfile(name_of))
    texts = (module, *sorted(module.parent.glob("*.csv")), Path(inspect.getfile(Subset)))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in texts), digest_size=8).hexdigest()


def _unpack_whole(archive: Path, folder: Path, name_of: Naming, subset: Subset) -> None:
    """Unpack to a hidden folder, which gets its name at the end."""
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        with _reading(archive):
            ids = _unpack(archive, partial, name_of, subset)
        write_record(_contents(folder), _digests(partial, sorted(ids)))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack(archive: Path, folder: Path, name_of: Naming, subset: Subset) -> list[str]:
    kept: list[tuple[bytes, str]] = []  # ranks and ids, the worst image last
    seen: set[bytes] = set()
    for name, member, content in _files(archive):
        image_id = name_of(name)
        if image_id is None:
            continue
        rank = subset.rank(image_id)
        if rank in seen:
            raise InputError(f"{archive} holds {image_id} twice: it is not the published file")
        if len(kept) == subset.count and rank > kept[-1][0]:
            continue
        if member.size > LARGEST_IMAGE:
            raise InputError(f"{archive}: {image_id} has {member.size} bytes: that is no image")
        path = folder / image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file, 2**20)
        seen.add(rank)
        insort(kept, (rank, image_id))
        if len(kept) > subset.count:
            (folder / kept.pop()[1]).unlink()
    if len(kept) < subset.count:
        raise InputError(
            f"{archive} holds {len(kept)} images of the data set, but {subset.count} are wanted: it is cut off, or"
            " another archive; remove it and get it again, or lower the count"
        )
    return [image_id for _, image_id in kept]


def read_members(archive: File, names: set[str]) -> dict[str, bytes]:
    """The content of those members of a small archive whose last name is in ``names``; an InputError if it is
    damaged, hostile, or lacks one of them.
    """
    found: dict[str, bytes] = {}
    with _reading(archive.path):
        for name, member, content in _files(archive.path):
            last = PurePosixPath(name).name
            if last in names and member.size > LARGEST_MEMBER:
                raise InputError(f"{archive.path}: {last} has {member.size} bytes: too many")
            if last in names:
                found[last] = content.read()
    missing = sorted(names - found.keys())
    if missing:
        raise InputError(f"{archive.path} lacks {', '.join(missing)}: it is another archive")
    return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What can go wrong in reading an archive, as one InputError."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no archive {path}") from error
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path} is damaged or cut off: remove it and get it again ({error})") from error


def _files(path: Path) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]:
    """(name, header, content) of each regular file, in one pass; to be used in :func:`_reading`."""
    with (
        path.open("rb") as raw,
        byte_bar(path.stat().st_size, f"unpack {path.name}") as progress,
        _StrictTarFile.open(fileobj=unpacked(raw), mode="r|", bufsize=2**18) as archive,
    ):
        told = 0
        for member in archive:
            archive.members = []  # tarfile would remember every header
            name = _safe_name(path, member)
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                yield name, member, content
            progress(raw.tell() - told)
            told = raw.tell()


class _Bounded:
    """What a compressed file holds, read piece by piece, and no more of it than a publisher's file can hold."""

    def __init__(self, content: IO[bytes], most: int) -> None:
        self._content, self._left = content, most

    def read(self, size: int = -1, /) -> bytes:
        try:
            found = self._content.read(size if size >= 0 else self._left + 1)
        # gzip and bz2 say so of what is damaged; the disk gives its errors a number.
        except OSError as error:
            if error.errno is not None:
                raise
            raise tarfile.ReadError(f"{error}") from error
        self._left -= len(found)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {LARGEST_RATIO} times its size")
        return found


def unpacked(raw: IO[bytes]) -> IO[bytes]:
    """The content of an open file, which may be compressed by gzip, bzip2 or xz: at most :data:`LARGEST_RATIO` times its
    size, of which there is never more in memory than is asked for. Errors as of tarfile, zlib and lzma.
    """
    size, start = os.fstat(raw.fileno()).st_size, raw.read(6)
    raw.seek(0)
    opened: IO[bytes] = next((open(raw) for magic, open in _COMPRESSIONS.items() if start.startswith(magic)), raw)
    return cast(IO[bytes], _Bounded(opened, size * LARGEST_RATIO + LARGEST_HEADER))


def _safe_name(path: Path, member: tarfile.TarInfo) -> str:
    parts = PurePosixPath(member.name).parts
    outside = member.name.startswith(("/", "\\")) or ".." in parts or "\\" in member.name
    if outside or ":" in member.name or "\0" in member.name or not (member.isfile() or member.isdir()):
        kind = "leads outside" if outside else "is a link, a device or has an impossible name"
        raise InputError(
            f"{path} is not the published file, and not safe: its member {member.name[:100]!r} {kind}. Remove it and"
            " get it again"
        )
    return "/".join(p for p in parts if p != ".")
