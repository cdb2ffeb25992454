"""How long computations say how far they are."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Is called with the number of images finished since the last call; parts of one count too.
Progress = Callable[[float], object]


def silent(count: float) -> None:
    """Say nothing."""


@contextmanager
def progress_bar(total: int, label: str) -> Iterator[Progress]:
    """A bar on standard error with images/s and the time left; now and then without a terminal."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=label,
        unit=" images",
        bar_format="{desc}: {percentage:3.0f}% |{bar:20}| {n:.1f} of {total} images,"
        " {rate_noinv_fmt}, {elapsed} gone, {remaining} left",
        mininterval=10.0 if quiet else 0.1,
        maxinterval=10.0,
        file=sys.stderr,
    ) as bar:
        yield bar.update


@contextmanager
def byte_bar(total: int | None, label: str) -> Iterator[Progress]:
    """A bar for bytes on standard error, with the rate and the time left."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=label,
        unit="B",
        unit_scale=True,
        mininterval=10.0 if quiet else 0.1,
        maxinterval=10.0,
        file=sys.stderr,
    ) as bar:
        yield bar.update
