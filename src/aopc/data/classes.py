"""Lists of classes, and which class an image's folder is.

The rule by which names are compared: composed Unicode (NFC, as a Mac's file names are not), white space and underscores
alike and counted once, nothing invisible, nothing at the ends. A name that differs in anything else, as in case, is
refused, never passed over.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.base.text import is_plain, shown

#: Characters in a list; the longest known name 22,000 classes (ImageNet-21k).
LARGEST = 2**22


def class_lines(path: Path) -> list[str]:
    """A list of classes in the model's order, one a line: an id, and behind it what to call the class.

    Raises
    ------
    InputError
        If the file is missing, is not text, is too long, a line in it is empty, or two name the same class.
    """
    try:
        # What Windows' editors put before the text and at its lines' ends is none of it.
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise InputError(f"there is no class list {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the class list {path}: save it as UTF-8 text ({error})") from error
    except OSError as error:
        raise InputError(f"cannot read the class list {path}: {error.strerror or error}") from error
    if len(text) > LARGEST:
        raise InputError(f"the class list {path} is longer than {LARGEST} characters: it is something else")
    lines = [line.strip() for line in text.rstrip().split("\n")]
    odd = next((line for line in lines if not is_plain(line.replace("\t", " "))), None)
    if odd is not None:
        raise InputError(f"the class list {path} has control characters, in {shown(odd)}: save it as UTF-8 text")
    if not all(map(_key, lines)):
        number = next(i for i, line in enumerate(lines, start=1) if not _key(line))
        raise InputError(f"the class list {path} must have one class a line and no empty line, as line {number} is")
    twice = [name for name, count in Counter(_key(line.split()[0]) for line in lines).items() if count > 1]
    if twice:
        raise InputError(
            f"the class list {path} names {twice[0]!r} twice: a line is an id, and behind it the name; write a name of"
            " several words with underscores, as tiger_cat"
        )
    return lines


def read_class_names(path: Path) -> dict[str, str]:
    """Id → what to call the class, the id itself where nothing follows it. Errors as of :func:`class_lines`."""
    lines = class_lines(path)
    names = (line.partition(" ")[2].strip().replace("_", " ") for line in lines)
    return {line.split()[0]: name or line.split()[0] for line, name in zip(lines, names, strict=True)}


def read_classes(path: Path) -> list[str]:
    """The class ids in a list of classes, in the model's order. Errors as of :func:`class_lines`."""
    return list(read_class_names(path))


def labels_of(folders: Sequence[str], classes: Sequence[str], root: Path) -> NDArray[np.int64] | None:
    """The class of each image by the name of its folder below ``root``, (N,); None where no folder is a class.

    ``classes`` are ids or whole lines of the list; a folder may be called by either.

    Raises
    ------
    InputError
        If some folders are classes and others not, some images lie outside of the class folders, or a name is nearly
        that of a class, or that of two.
    """
    by_line, by_id = _index(classes), _index([line.split()[0] for line in classes])
    names = dict.fromkeys(folders)
    found = {name: by_line.get(_key(name)) or by_id.get(_key(name), []) for name in names}
    unknown = [name for name in names if not found[name]]
    by_name = _index([line.partition(" ")[2] for line in classes])
    nearly = {_loose(name): classes[at[0]] for name, at in (by_name | by_id | by_line).items()}
    for name in unknown:
        if _loose(name) and (meant := nearly.get(_loose(name))):
            raise InputError(f"{root}: the folder {name!r} is no class, but {meant!r} is: give it the class' name")
    if len(unknown) == len(names):
        return None
    if "" in unknown:
        raise InputError(f"{root} has class folders, but also images outside of them: move them into one")
    if unknown:
        raise InputError(f"the class list lacks the class {unknown[0]!r}, which {root} has images of")
    for name, at in found.items():
        if len(at) > 1:
            both = " and ".join(repr(classes[i]) for i in at[:2])
            raise InputError(f"{root}: the folder {name!r} may be the class {both}: give it the whole name")
    return np.array([found[name][0] for name in folders], dtype=np.int64)


def _index(names: Sequence[str]) -> dict[str, list[int]]:
    index: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        index.setdefault(_key(name), []).append(i)
    return index


def _key(name: str) -> str:
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).replace("_", " ").split())


def _loose(name: str) -> str:
    """What remains of a name that is spelt in another way."""
    return "".join(c for c in unicodedata.normalize("NFKD", name).casefold() if c.isalnum())
