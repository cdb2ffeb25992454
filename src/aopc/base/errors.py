"""The one exception that means: the input is wrong, and here is what to do about it."""


class InputError(ValueError):
    """Bad input from the user.

    The message is one line that says what is wrong and what to do. Commands print it without a traceback and exit
    with status 2.
    """
