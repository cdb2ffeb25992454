"""Run a stage: its settings, clean errors, and a note of the run for MLflow."""

import inspect
import sys
from collections.abc import Sequence
from importlib import import_module

from aopc.base.errors import InputError
from aopc.paper.params import read_settings
from aopc.paper.stages import STAGES
from aopc.paper.tracking.pending import PENDING, StageRun


def run_stage(stage: Sequence[str], items: Sequence[str]) -> int:
    """Run a stage, ``work(run, settings, *items)`` of its module, and return its exit status.

    An InputError is printed, a line a mistake; the status is 2 then. The run is noted whether it
    succeeds or not.
    """
    if len(stage) != 1 or stage[0] not in STAGES:
        print(f"usage: python -m aopc.paper.stages {{{','.join(STAGES)}}} [item …]", file=sys.stderr)
        return 2
    work = import_module(f"aopc.paper.stages.{stage[0]}").work
    wanted = list(inspect.signature(work).parameters)[2:]
    if len(items) != len(wanted):
        usage = " ".join([stage[0], *map(str.upper, wanted)])
        print(f"usage: python -m aopc.paper.stages {usage}", file=sys.stderr)
        return 2
    run = StageRun("@".join([STAGES[stage[0]], *(["-".join(items)] if items else [])]))
    try:
        work(run, read_settings(), *items)
        run.finish("FINISHED")
    except InputError as error:
        run.finish("FAILED")
        print("\n".join(f"aopc: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        run.finish("KILLED")
        return 130
    except BaseException:
        run.finish("FAILED")
        raise
    finally:
        PENDING.append(run)
    return 0
