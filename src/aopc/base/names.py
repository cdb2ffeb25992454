"""Look things up by name, or by dotted path for what users bring themselves."""

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aopc.base.errors import InputError

MOST_LISTED = 20


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: all known ones where they are few, else the nearest, or the first few.

    Examples
    --------
    >>> nearest("lrp-epsilon-1", ["lrp-epsilon-100", "random"])
    "did you mean 'lrp-epsilon-100'? Known: lrp-epsilon-100, random"
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = close or names[:3]
    listed = names if len(names) <= MOST_LISTED else [*shown, f"and {len(names) - len(shown)} more"]
    return f"{hint}Known: {', '.join(listed)}"


def resolve(kind: str, table: Mapping[str, Any], name: str) -> Any:
    """The entry of ``table`` called ``name``, or the object at ``package.module:attribute``.

    An entry may be such a path itself, for what should not be imported before it is used.

    Raises
    ------
    InputError
        If there is no such entry, or the dotted path cannot be imported.
    """
    if name in table and not isinstance(table[name], str):
        return table[name]
    name = table.get(name, name)
    if ":" not in name:
        raise InputError(f"unknown {kind} {name!r}: {nearest(name, table)}, or your own as package.module:function")
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    # The user's module may fail in any way while it is imported, and leave it by sys.exit().
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = f"SystemExit {reason}" if isinstance(error, SystemExit) else reason
        raise InputError(f"cannot import the {kind} {name!r}: {reason}") from error


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ("image " if len(names) == 1 else "images ") + ", ".join(names[:most]) + more
