"""What is said to the user: bad input, and results that may not mean what they seem to."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class InputError(ValueError):
    """Bad input from the user.

    The message is one line that says what is wrong and what to do. Commands print it without a traceback and exit
    with status 2.
    """


class ResultWarning(UserWarning):
    """Results that may not mean what they seem to: the message says why, and what to do."""


def warned(said: str | None) -> str | None:
    """What is said as a :class:`ResultWarning`, unless it is None; returned as it is."""
    if said is not None:
        warnings.warn(said, ResultWarning, stacklevel=2)
    return said


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Let a command print each :class:`ResultWarning` once, as it prints an InputError."""
    done: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", ResultWarning)
        others = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if not issubclass(category, ResultWarning):
                others(message, category, *where, **more)
            elif str(message) not in done:
                done.add(str(message))
                print(f"aopc: warning: {message}", file=sys.stderr)

        warnings.showwarning = show
        yield
