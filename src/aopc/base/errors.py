"""What is said to the user: bad input, damaged files, and results that may not mean what they seem to."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aopc.base.text import one_line, without_secrets


class InputError(ValueError):
    """Bad input from the user.

    Each argument is a line that says what is wrong and what to do, whatever names are in it: control characters are
    escaped and secrets of addresses left out. Commands print the lines without a traceback and exit with status 2.

    Examples
    --------
    >>> InputError("there is no file a\\nb", "steps must be a number").mistakes
    ('there is no file a\\\\nb', 'steps must be a number')
    """

    @property
    def mistakes(self) -> tuple[str, ...]:
        return tuple(one_line(without_secrets(str(line))) for line in self.args)

    def __str__(self) -> str:
        return "\n".join(self.mistakes)


def reason_of(error: BaseException) -> str:
    """What an error says, in a line; its kind where it says nothing, or fails to."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # an error of the user's own
        said = ""
    return said or type(error).__name__


class DamagedError(InputError):
    """A file of our own is missing, damaged, or another one than belongs at its place.

    ``path`` is the file's; whoever knows how it is made adds the command.
    """

    def __init__(self, path: Path, how: str) -> None:
        super().__init__(f"{path} {how}")
        self.path, self.how = path, how

    def __reduce__(self) -> tuple[type["DamagedError"], tuple[Path, str]]:
        return DamagedError, (self.path, self.how)  # from another process


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
