"""Data sets: one module each.

A source is a function ``source(**settings) -> Dataset``. The settings stand in params.yaml.
"""

from collections.abc import Callable

from aopc.datasets.dataset import Dataset
from aopc.datasets.digits import digits
from aopc.datasets.drawn import drawn

#: Name → source of a data set.
SOURCES: dict[str, Callable[..., Dataset]] = {"digits": digits, "drawn": drawn}
