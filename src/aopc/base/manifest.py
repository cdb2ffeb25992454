"""The list of what we wrote that lies in a folder of results, by which it is known, and only by it replaced."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from aopc.base.errors import DamagedError, InputError
from aopc.base.files import read_record, write_record
from aopc.base.provenance import file_hash

MANIFEST = "aopc-results.json"
#: What results had from before there was a manifest.
_OLDER = frozenset({"metrics.json", "figure4.png", "paired_differences.csv", "curves"})


def is_results(names: Collection[str]) -> bool:
    """Whether a folder with files of these names holds results of ours, whole or not."""
    return MANIFEST in names or set(names) >= _OLDER


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """List all that is in the folder now; ``about`` is what else to say."""
    files = {name: _about(path) for name, path in _files(folder) if name != MANIFEST}
    write_record(folder / MANIFEST, {**about, "files": files})


def listed_in(folder: Path) -> dict[str, Any]:
    """Name → what the manifest says of the file; a DamagedError if it is missing, damaged, or lists no files."""
    listed = read_record(folder / MANIFEST).get("files")
    if not isinstance(listed, dict):
        raise DamagedError(folder / MANIFEST, "lists no files")
    return listed


def _about(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "digest": file_hash(path)}


def what_is_not_ours(folder: Path) -> str | None:
    """The first thing in the folder that is not as its manifest says, and why; None where there is no such thing.

    That a file of ours is missing is nothing: it was the user's to remove.
    """
    try:
        listed = listed_in(folder)
    except InputError:
        names = sorted(path.name for path in folder.iterdir())
        if MANIFEST in names:
            return f"{MANIFEST}, which was changed or damaged"
        older = ", though it looks like results of an older version" if is_results(names) else ""
        return f"{names[0]}, and no list of results ({MANIFEST}){older}" if names else None
    for name, path in _files(folder):
        if name == MANIFEST or (path.is_dir() and any(n.startswith(f"{name}/") for n in listed)):
            continue
        said = listed.get(name)
        if said is None or path.is_symlink() or not path.is_file():
            return f"{name}, which aopc did not write"
        if said != _about(path):
            return f"{name}, which was changed since aopc wrote it"
    return None


def remove_listed(folder: Path) -> None:
    """Remove what the manifest lists, the folders that are empty then, and last the manifest; nothing else."""
    listed = listed_in(folder)
    for path in [path for name, path in _files(folder) if name in listed]:
        path.unlink()
    for below, _, _ in sorted(os.walk(folder), reverse=True)[:-1]:
        Path(below).rmdir()
    # While something is left, it says what that is.
    if [path.name for path in folder.iterdir()] == [MANIFEST]:
        (folder / MANIFEST).unlink()
        folder.rmdir()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """All but folders that hold something, by their names below the folder; no link is followed."""
    for below, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        links = [name for name in folders if (Path(below) / name).is_symlink()]
        empty = [""] if below != str(folder) and not folders and not files else []
        for name in sorted([*files, *links, *empty]):
            path = Path(below) / name
            yield path.relative_to(folder).as_posix(), path


def _raise(error: OSError) -> None:
    raise error
