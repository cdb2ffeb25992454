"""Data sets: one module each.

A source is a function ``source(*, split, seed, **settings) -> Dataset``. The settings stand in
params.yaml.
"""

import importlib
from collections.abc import Callable
from typing import Any

from aopc.datasets.dataset import Dataset
from aopc.datasets.digits import digits
from aopc.datasets.drawn import drawn


def _later(path: str) -> Callable[..., Dataset]:
    """A source whose module is imported at its first use: what downloads imports more."""

    def source(**settings: Any) -> Dataset:
        module, _, function = path.partition(":")
        dataset: Dataset = getattr(importlib.import_module(f"aopc.datasets.{module}"), function)(
            **settings
        )
        return dataset

    return source


#: Name → source of a data set.
SOURCES: dict[str, Callable[..., Dataset]] = {
    "cifar10": _later("torchvision_sets:cifar10"),
    "digits": digits,
    "drawn": drawn,
    "folder": _later("own:own_images"),
    "ilsvrc2012": _later("ilsvrc2012:ilsvrc2012"),
    "mnist": _later("torchvision_sets:mnist"),
    "places205": _later("places:places205"),
    "places365-validation": _later("places:places365_validation"),
    "sun397": _later("sun397:sun397"),
}
