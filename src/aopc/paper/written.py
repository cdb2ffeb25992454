"""Whether published files are what their stage wrote: plain text and pictures carry no digest of their own."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML

from aopc.base.errors import DamagedError
from aopc.base.files import is_whole, read_record, write_record
from aopc.base.provenance import file_hash

LOCK = Path("dvc.lock")


def _note(stage: str) -> Path:
    return Path(".cache") / "written" / f"{stage}.json"


def note_written(stage: str, files: Iterable[str | Path]) -> None:
    """Remember what a stage wrote, for :func:`check_written`."""
    write_record(_note(stage), {str(file): file_hash(Path(file)) for file in files})


def check_written(stage: str) -> None:
    """Raise a DamagedError where a file is neither what the stage wrote here last, nor what ``dvc.lock`` says of it.

    A file of which neither says anything is DVC's to check.
    """
    noted = read_record(_note(stage)) if is_whole(_note(stage)) else {}
    if noted and all(Path(name).is_file() and file_hash(Path(name)) == found for name, found in noted.items()):
        return
    locked = _locked(stage)
    for name in sorted(noted.keys() | locked.keys()):
        file = Path(name)
        if not file.is_file():
            raise DamagedError(file, "is missing")
        known = file_hash(file) == noted.get(name) or (
            name in locked and hashlib.md5(file.read_bytes()).hexdigest() == locked[name]
        )
        # Pictures are a folder to DVC; of another commit's it cannot be said here.
        if not known and (name in locked or not locked):
            raise DamagedError(file, f"is not what the stage {stage} wrote")


def _locked(stage: str) -> dict[str, str]:
    """Of single files only."""
    stages = YAML(typ="safe").load(LOCK)["stages"] if LOCK.exists() else {}
    return {o["path"]: o["md5"] for o in stages.get(stage, {}).get("outs", []) if not o["md5"].endswith(".dir")}
