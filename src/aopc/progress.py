"""How long computations say how far they are."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Is called with the number of items finished since the last call.
Progress = Callable[[int], object]


def silent(count: int) -> None:
    """Say nothing."""


@contextmanager
def progress_bar(total: int, label: str, unit: str = "images") -> Iterator[Progress]:
    """A bar on standard error with the rate and the time left; lines now and then where there is
    no terminal.
    """
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=label,
        unit=f" {unit}",
        mininterval=10.0 if quiet else 0.1,
        maxinterval=10.0,
        dynamic_ncols=not quiet,
    ) as bar:
        yield bar.update
