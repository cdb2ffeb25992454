"""The one exception that means: the input is wrong, and here is what to do about it."""

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
