"""Whether results can be written to a folder at all; what they may replace there is another question."""

import os
import tempfile
from pathlib import Path

from aopc.base.errors import InputError
from aopc.base.text import is_plain, shown

#: Of 255 bytes, without what temporary names add.
LONGEST = 230
#: Of PATH_MAX, 4096, without the names of the deepest result.
LONGEST_PATH = 3500


def require_writable(out: Path) -> None:
    """Raise InputError unless results can be written to the folder ``out``, which is absolute: by trying, since
    permissions do not tell all.
    """
    if not is_plain(str(out)) or len(os.fsencode(out.name)) > LONGEST or len(os.fsencode(out)) > LONGEST_PATH:
        raise InputError(
            f"{shown(str(out))} is no name for a folder of results: it must be UTF-8, and have at most {LONGEST} bytes"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".aopc-", dir=existing(out.parent)):
            pass
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    return next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))
