"""Look things up by name, or by dotted path for what users bring themselves; and what a name may be."""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aopc.base.errors import InputError, reason_of
from aopc.base.text import is_plain, shown

MOST_LISTED = 20
#: Bytes of a name: a file of that name has an ending, and a temporary name, of 255 bytes at most.
LONGEST_NAME = 200
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint for a name that is not known: all known ones where they are few, else the nearest, or the first few.

    Examples
    --------
    >>> nearest("lrp-epsilon-1", ["lrp-epsilon-100", "random"])
    "did you mean 'lrp-epsilon-100'? Known: lrp-epsilon-100, random"
    """
    names = list(known)
    close = difflib.get_close_matches(str(name)[:LONGEST_NAME], names, n=3, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown_names = close or names[:3]
    listed = names if len(names) <= MOST_LISTED else [*shown_names, f"and {len(names) - len(shown_names)} more"]
    return f"{hint}Known: {', '.join(listed)}"


def require_known(kind: str, name: object, known: Iterable[str]) -> None:
    """Raise InputError unless ``name`` is one of the known ones."""
    names = list(known)
    if not isinstance(name, str) or name not in names:
        raise InputError(f"unknown {kind} {shown(name)}: {nearest(name, names)}")


def require_safe_name(kind: str, name: object) -> None:
    """Raise InputError unless ``name`` can be that of a file or folder, and of nothing outside of its folder."""
    if not isinstance(name, str):
        raise InputError(f"the {kind} {shown(name)} must be a text: put it into quotes")
    long, plain = len(name.encode("utf-8", "replace")) > LONGEST_NAME, is_plain(name)
    if not name.strip() or long or not plain or name.startswith((".", "~")) or set(name) & set('/\\:*?"<>|'):
        raise InputError(
            f"the {kind} {shown(name)} cannot be the name of a file: take letters, digits, - and _, at most"
            f" {LONGEST_NAME} bytes"
        )


def is_dotted(name: object) -> bool:
    """Whether it has the form ``package.module:attribute``, and so is the name of a file, too."""
    return isinstance(name, str) and len(name) <= LONGEST_NAME and _DOTTED.fullmatch(name) is not None


def require_known_or_dotted(kind: str, name: object, known: Iterable[str]) -> None:
    """Raise InputError unless it is one of the known names, or could be the user's own."""
    names = list(known)
    if is_dotted(name) or (isinstance(name, str) and name in names):
        return
    raise InputError(f"unknown {kind} {shown(name)}: {nearest(name, names)}, or your own as package.module:function")


def resolve(
    kind: str,
    table: Mapping[str, Any],
    name: str,
    *,
    of: type | tuple[Any, ...] = Callable,  # type: ignore[assignment]
) -> Any:
    """The entry of ``table`` called ``name``, or the object at ``package.module:attribute``.

    An entry may be such a path itself, for what should not be imported before it is used.

    Parameters
    ----------
    kind, table, name
        What it is, in a word; those that are known; which one is wanted.
    of
        What the user's own object must be an instance of; by default anything that can be called.

    Raises
    ------
    InputError
        If there is no such entry, the dotted path cannot be imported, or leads to something else.
    """
    require_known_or_dotted(kind, name, table)
    if name in table and not isinstance(table[name], str):
        return table[name]
    path = table.get(name, name)
    module_name, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    # The user's module may fail in any way while it is imported, or end the program.
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = reason_of(error)
        reason = reason if isinstance(error, Exception) else f"{type(error).__name__} {reason}"
        raise InputError(f"cannot import the {kind} {path!r}: {reason}") from error
    if not isinstance(found, of):
        raise InputError(f"{path!r} is no {kind}, but {shown(found)}: name a function, as package.module:function")
    return found


def takes(found: Any, count: int) -> bool:
    """Whether it can be called with so many arguments by position, as far as it says what it takes."""
    try:
        inspect.signature(found).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a function in C that does not say what it takes
        return True
    return True


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ("image " if len(names) == 1 else "images ") + ", ".join(names[:most]) + more
