"""The exceptions that mean: the input is wrong, and here is what to do about it."""

from pathlib import Path


class InputError(ValueError):
    """Bad input from the user.

    The message is one line that says what is wrong and what to do. Commands print it without a traceback and exit
    with status 2.
    """


class DamagedError(InputError):
    """A file of our own is missing, damaged, or another one than belongs at its place.

    ``path`` is the file's; whoever knows how it is made adds the command.
    """

    def __init__(self, path: Path, how: str) -> None:
        super().__init__(f"{path} {how}")
        self.path, self.how = path, how

    def __reduce__(self) -> tuple[type["DamagedError"], tuple[Path, str]]:
        return DamagedError, (self.path, self.how)  # from another process
