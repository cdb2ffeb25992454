"""Run a stage: its settings, clean errors, and a note of the run for MLflow."""

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from aopc.base.command import BAD_INPUT, INTERRUPTED, run_command
from aopc.base.errors import DamagedError, InputError, warnings_in_a_line
from aopc.base.lock import lock
from aopc.base.names import nearest
from aopc.paper.folders import LOCKS, how_to_make
from aopc.paper.params import read_settings
from aopc.paper.settings import Settings
from aopc.paper.stages import STAGES
from aopc.paper.tracking.pending import PENDING, StageRun


def run_stage(stage: Sequence[str], items: Sequence[str]) -> int:
    """Run a stage, ``work(run, settings, *items)`` of its module, note the run, and return its exit status (as of
    :func:`run_command`). Where params.yaml is wrong, there is no run.
    """
    known = len(stage) == 1 and stage[0] in STAGES
    work = import_module(f"aopc.paper.stages.{stage[0]}").work if known else None
    wanted = list(inspect.signature(work).parameters)[2:] if work else ["[item …]"]
    if work is None or len(items) != len(wanted):
        usage = [stage[0] if known else f"{{{','.join(STAGES)}}}", *map(str.upper, wanted)]
        print(f"usage: python -m aopc.paper.stages {' '.join(usage)}", file=sys.stderr)
        return BAD_INPUT
    name, run, status = STAGES[stage[0]], StageRun("@".join([STAGES[stage[0]], *items])), BAD_INPUT
    found: list[Settings] = []
    section = "panels" if wanted == ["panel"] else name
    if refused := run_command(lambda: found.append(_settings(section, items))):
        return refused
    run.parameters = dict(found[0].raw)
    try:
        status = run_command(lambda: _locked(run, lambda: work(run, found[0], *items)))
    finally:
        run.finish({0: "FINISHED", INTERRUPTED: "KILLED"}.get(status, "FAILED"))
        PENDING.append(run)
    return status


def _settings(section: str, items: Sequence[str]) -> Settings:
    """Those of params.yaml, which must have the item in the section."""
    settings = read_settings()
    if items and items[0] not in getattr(settings, section):
        hint = nearest(items[0], getattr(settings, section))
        raise InputError(f"params.yaml: {section} has no {items[0]!r}: {hint}")
    return settings


def _locked(run: StageRun, work: Callable[[], None]) -> None:
    LOCKS.mkdir(parents=True, exist_ok=True)
    try:
        with lock(LOCKS / f"{run.name}.lock", busy="runs this stage here already: wait for it"), warnings_in_a_line():
            work()
    except DamagedError as error:
        if not (command := how_to_make(error.path)):
            raise
        raise InputError(f"{error}; make it again: {command}") from error
