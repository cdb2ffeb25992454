"""Which files below a folder are images, and what is left out: by rule, and counted; the rest is refused by name."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

from aopc.base.errors import InputError
from aopc.base.manifest import is_results

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
#: What systems and archives put among pictures, beside all whose names begin with a dot.
OF_SYSTEMS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db"}
    | {"ehthumbs.db", "desktop.ini", "icon\r"}
)
HIDDEN, RESULTS, NO_IMAGE = "hidden or of the system", "folders of results", "of no image format"


class Listing:
    """The images below a folder, id → path below it with forward slashes, in the order of the ids.

    An id is the path in composed Unicode, so that a data set is the same on every system. ``left_out`` counts what is
    passed over, by reason.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.left_out = root, Counter[str]()
        self._paths: dict[str, str] = {}
        self._folders: dict[tuple[int, int], Path] = {}
        self._files: dict[tuple[int, int], Path] = {}
        self._walk(root)
        self.paths = dict(sorted(self._paths.items()))

    def _walk(self, folder: Path) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            if is_results([entry.name for entry in entries]):
                self.left_out[RESULTS] += 1
                return
            self._once(folder, self._folders, "folder")
            for entry in entries:
                self._add(entry)
        except OSError as error:
            where = error.filename or folder
            raise InputError(f"cannot read {where}: {error.strerror or error}; mend or remove it") from error

    def _add(self, entry: os.DirEntry[str]) -> None:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name.lower() in OF_SYSTEMS:
            self.left_out[HIDDEN] += 1
            return
        is_folder, is_image = entry.is_dir(), path.suffix.lower() in SUFFIXES
        if entry.is_symlink() and not path.exists() and (is_image or not path.suffix):
            raise InputError(f"{path} is a link that leads nowhere: mend or remove it")
        if is_folder or is_image:
            _check_name(path)
        if is_folder:
            self._walk(path)
        elif is_image:
            if not entry.is_file():
                raise InputError(f"{path} is neither a file nor a folder: remove it")
            self._once(path, self._files, "file")
            self._add_image(path)
        else:
            self.left_out[f"{NO_IMAGE} ({path.suffix.lower() or 'no suffix'})"] += 1

    def _add_image(self, path: Path) -> None:
        below = path.relative_to(self.root).as_posix()
        image_id = unicodedata.normalize("NFC", below)
        if image_id in self._paths:
            raise InputError(f"{self.root} has two images whose names are written alike, {image_id}: rename one")
        self._paths[image_id] = below

    def _once(self, path: Path, seen: dict[tuple[int, int], Path], kind: str) -> None:
        """A link, of either kind, may not count an image twice, nor lead round in a circle."""
        found = path.stat()
        key = (found.st_dev, found.st_ino)
        if found.st_ino and key in seen:
            raise InputError(f"{path} is the same {kind} as {seen[key]}: remove one, or an image would count twice")
        seen[key] = path


def _check_name(path: Path) -> None:
    """A name must be text, on one line, to be an image's in tables and figures."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {path.name!r} in {str(path.parent)!r} is not UTF-8: rename it") from error
    if any(unicodedata.category(c) == "Cc" for c in path.name):
        raise InputError(f"the name {path.name!r} in {path.parent} has control characters: rename it")
