"""How long computations say how far they are."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

#: Is called with the number of images finished since the last call; parts of one count too.
Progress = Callable[[float], object]


def silent(count: float) -> None:
    """Say nothing."""


def progress_bar(total: int, label: str) -> AbstractContextManager[Progress]:
    """A bar on standard error with images/s and the time left; now and then without a terminal."""
    form = (
        "{desc}: {percentage:3.0f}% |{bar:20}| {n:.1f} of {total} images,"
        " {rate_noinv_fmt}, {elapsed} gone, {remaining} left"
    )
    return _bar(total, label, unit=" images", bar_format=form)


def byte_bar(total: int | None, label: str) -> AbstractContextManager[Progress]:
    """A bar for bytes on standard error, with the rate and the time left."""
    return _bar(total, label, unit="B", unit_scale=True)


@contextmanager
def _bar(total: int | None, label: str, **form: Any) -> Iterator[Progress]:
    from tqdm import tqdm

    seconds = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=total, desc=label, mininterval=seconds, maxinterval=10.0, file=sys.stderr, **form) as bar:
        yield bar.update
