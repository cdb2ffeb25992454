"""Where the repository is, from any profile's folder in it."""

import os
from pathlib import Path


def root() -> Path:
    """The nearest folder upwards that DVC manages, the current folder where there is none."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / ".dvc").is_dir()), here)


def checkout() -> Path:
    """The checkout that this one works for: where DVC runs an experiment in a temporary folder below ``.dvc/tmp``, which
    it deletes afterwards, the one that it belongs to; else :func:`root`.
    """
    here = root()
    return next((p.parents[2] for p in here.parents if p.parts[-3:] == (".dvc", "tmp", "exps")), here)


def profile() -> str:
    """Which profile's folder this is: ``profiles/paper``, or ``default`` for the root."""
    below = Path.cwd().relative_to(root()).as_posix()
    return "default" if below == "." else below


def downloads_folder() -> Path:
    """Where downloads are kept, for all profiles: AOPC_DOWNLOADS, or data/downloads."""
    named = os.environ.get("AOPC_DOWNLOADS")
    return Path(named).expanduser().resolve() if named else root() / "data" / "downloads"
