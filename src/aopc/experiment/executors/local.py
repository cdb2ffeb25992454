"""In this process, one task after the other."""

from collections.abc import Callable, Iterable, Iterator

from aopc.experiment.executors import R, T


class Local:
    """An :class:`aopc.experiment.executors.Executor`."""

    def map(self, compute: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        return map(compute, tasks)
