"""What all stages share: parameters, paths, clean errors, and a note of the run for MLflow."""

import inspect
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aopc.errors import InputError
from aopc.settings import typed
from aopc.tracking.journal import Journal, StageRun

#: Images that are in memory at once, in the network's input space, and in one part of the work that
#: survives a kill.
PART_IMAGES = 50

PARAMS = Path("params.yaml")
DATA = Path("data")
REPORTS = Path("reports")
#: Under no version control; what is in it can be made again.
CACHE = Path(".cache")
JOURNAL = Journal(CACHE / "journal")


def read_params() -> dict[str, Any]:
    """params.yaml of the current folder, where DVC runs a stage, with a seed and a limit.

    It is read as DVC reads it, as YAML 1.2: 5e-3 is a number there.

    Raises
    ------
    InputError
        If there is none, it is not YAML, or the seed or the limit is no number.
    """
    try:
        params = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("there is no params.yaml here: run dvc repro in the repository") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"params.yaml is not valid YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(params, dict):
        raise InputError("params.yaml must hold sections with settings")
    params.setdefault("limit", None)
    for name, hint in (("seed", int), ("limit", int | None)):
        typed(section(params, name), hint, f"params.yaml: {name}")
    return params


def section(params: dict[str, Any], *path: str) -> Any:
    """The part of params.yaml at ``path``.

    Raises
    ------
    InputError
        If it is missing.
    """
    value: Any = params
    for i, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"params.yaml has no {'.'.join(path[: i + 1])}")
        value = value[key]
    return value


def parts_of(count: int, size: int = PART_IMAGES) -> list[slice]:
    """Slices of at most ``size`` that cover 0 … ``count`` − 1."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove what else is in the folder: what an earlier run left there of settings now gone."""
    wanted = set(names)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def run_stage(name: str, items: Sequence[str], work: Callable[..., None]) -> int:
    """Run a stage, ``work(run, params, *items)``, and return its exit status.

    An InputError is printed as one line; the status is 2 then. The run is noted in the journal
    whether it succeeds or not.
    """
    wanted = list(inspect.signature(work).parameters)[2:]
    if len(items) != len(wanted):
        usage = " ".join([name, *map(str.upper, wanted)])
        print(f"usage: python -m aopc.stages {usage}", file=sys.stderr)
        return 2
    run = StageRun("@".join([name, "-".join(items)]) if items else name)
    try:
        work(run, read_params(), *items)
        run.finish("FINISHED")
    except InputError as error:
        run.finish("FAILED")
        print(f"aopc: {error}", file=sys.stderr)
        return 2
    except BaseException:
        run.finish("KILLED" if isinstance(sys.exception(), KeyboardInterrupt) else "FAILED")
        raise
    finally:
        JOURNAL.append(run)
    return 0
