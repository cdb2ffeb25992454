"""Run a stage: its settings, clean errors, and a note of the run for MLflow."""

import inspect
import sys
from collections.abc import Sequence
from importlib import import_module

from aopc.base.errors import DamagedError, InputError, warnings_in_a_line
from aopc.base.lock import lock
from aopc.base.names import nearest
from aopc.paper.folders import LOCKS, how_to_make
from aopc.paper.params import read_settings
from aopc.paper.stages import STAGES
from aopc.paper.tracking.pending import PENDING, StageRun


def run_stage(stage: Sequence[str], items: Sequence[str]) -> int:
    """Run a stage, ``work(run, settings, *items)`` of its module, note the run, and return its exit status.

    An InputError is printed, a line a mistake; the status is 2 then.
    """
    known = len(stage) == 1 and stage[0] in STAGES
    work = import_module(f"aopc.paper.stages.{stage[0]}").work if known else None
    wanted = list(inspect.signature(work).parameters)[2:] if work else ["[item …]"]
    if work is None or len(items) != len(wanted):
        usage = [stage[0] if known else f"{{{','.join(STAGES)}}}", *map(str.upper, wanted)]
        print(f"usage: python -m aopc.paper.stages {' '.join(usage)}", file=sys.stderr)
        return 2
    run, status = StageRun("@".join([STAGES[stage[0]], *items])), "FAILED"
    try:
        settings = read_settings()
        run.parameters = dict(settings.raw)
        section = "panels" if wanted == ["panel"] else STAGES[stage[0]]
        if items and items[0] not in getattr(settings, section):
            hint = nearest(items[0], getattr(settings, section))
            raise InputError(f"params.yaml: {section} has no {items[0]!r}: {hint}")
        LOCKS.mkdir(parents=True, exist_ok=True)
        with lock(LOCKS / f"{run.name}.lock", busy="runs this stage here already: wait for it"), warnings_in_a_line():
            work(run, settings, *items)
        status = "FINISHED"
    except InputError as error:
        if isinstance(error, DamagedError) and (command := how_to_make(error.path)):
            print(f"aopc: {error}; make it again: {command}", file=sys.stderr)
            return 2
        print("\n".join(f"aopc: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        status = "KILLED"
        return 130
    finally:
        run.finish(status)
        PENDING.append(run)
    return 0
