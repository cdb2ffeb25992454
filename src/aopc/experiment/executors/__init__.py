"""Where the parts of an experiment are computed: one method each."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Computes tasks."""

    def map(self, compute: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """The results in the order of the tasks; no task is begun long before its result is asked for."""
        ...
