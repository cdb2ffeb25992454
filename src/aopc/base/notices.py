"""Lines to the log ``aopc`` (standard error, unless set up otherwise), each said once a process."""

import logging

_log = logging.getLogger("aopc")
_said: set[str] = set()


def say_once(message: str) -> None:
    """Say a line, if it was not said before."""
    if message not in _said:
        _said.add(message)
        _log.warning("aopc: %s", message)
