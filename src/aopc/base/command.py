"""How a command ends: with a line for each mistake, whatever went wrong and whatever its streams are."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from aopc.base.errors import InputError
from aopc.base.machine import is_out_of_memory
from aopc.base.text import one_line, without_secrets

#: Exit statuses, as shells have them: bad input, Ctrl-C (128 + SIGINT), a reader that is gone (as Python has it).
BAD_INPUT, INTERRUPTED, CLOSED = 2, 130, 1


def say(*lines: str) -> None:
    """Lines on standard error, under the program's name."""
    for line in lines:
        print(f"aopc: {one_line(without_secrets(line))}", file=sys.stderr)


def run_command(work: Callable[[], int | None]) -> int:
    """The exit status of ``work``, which returns its own (None: 0).

    An InputError becomes a line for each of its mistakes and status 2; so does what the machine refuses: a file, the
    disk, memory. Ctrl-C is one line and 130; a reader of the output that is gone is no mistake of the user's. All
    else is a mistake of ours, and keeps its traceback.
    """
    _open_streams()
    try:
        status = work() or 0
        # What the streams still hold cannot be written after all, where it cannot: now, not while Python ends.
        sys.stdout.flush()
        return status
    except InputError as error:
        say(*error.mistakes)
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted; what is finished is kept, and the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return CLOSED
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if is_out_of_memory(error) and isinstance(error, ImportError):
            say("there is not enough memory to load torch, which takes 4 GB of addresses (ulimit -v): allow more")
        elif is_out_of_memory(error):
            say("memory ran out: give a smaller --batch-size, or less at once; what is finished is kept")
        elif isinstance(error, OSError) and error.errno is not None:
            place = f": {error.filename}" if error.filename else ""
            say(f"{error.strerror}{place}")
        else:
            raise
        _drop_output()
        return BAD_INPUT


def _open_streams() -> None:
    """Make both streams take any text: a name that is not UTF-8, a terminal that knows ASCII only, no terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the program
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Python flushes standard output when it ends, and would fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
