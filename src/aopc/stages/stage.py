"""What all stages share: parameters, paths, clean errors, and a note of the run for MLflow."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from aopc.errors import InputError
from aopc.tracking.journal import Journal, StageRun

PARAMS = Path("params.yaml")
DATA = Path("data")
REPORTS = Path("reports")
#: Under no version control; what is in it can be made again.
CACHE = Path(".cache")
JOURNAL = Journal(CACHE / "journal")


def read_params() -> dict[str, Any]:
    """params.yaml of the current folder, where DVC runs a stage.

    Raises
    ------
    InputError
        If there is none, or it is not YAML.
    """
    try:
        params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("there is no params.yaml here: run dvc repro in the repository") from error
    except yaml.YAMLError as error:
        raise InputError(f"params.yaml is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(params, dict):
        raise InputError("params.yaml must hold sections with settings")
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


def run_stage(name: str, items: tuple[str, ...], work: Callable[..., None]) -> None:
    """Run a stage from the command line: ``work(run, params, *items)``.

    An InputError is printed as one line and ends the process with status 2. The run is noted in
    the journal whether it succeeds or not; a journal that cannot be written is only reported.
    """
    parser = argparse.ArgumentParser(prog=f"python -m aopc.stages {name}")
    for item in items:
        parser.add_argument(item)
    arguments = [getattr(parser.parse_args(), item) for item in items]
    run = StageRun("@".join([name, "-".join(arguments)]) if items else name)
    try:
        work(run, read_params(), *arguments)
        run.finish("FINISHED")
    except InputError as error:
        run.finish("FAILED")
        print(f"aopc: {error}", file=sys.stderr)
        sys.exit(2)
    except BaseException:
        run.finish("KILLED")
        raise
    finally:
        JOURNAL.append(run)
