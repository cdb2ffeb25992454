"""Data sets: one module each.

A source is a function ``source(*, split, seed, **settings) -> Dataset``. The settings stand in
params.yaml.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from aopc.datasets.dataset import Dataset
from aopc.datasets.digits import digits
from aopc.datasets.drawn import drawn
from aopc.downloads.source import Source


def _later(path: str) -> Callable[..., Any]:
    """A function whose module is imported at its first use: what downloads imports more."""

    def call(*arguments: Any, **settings: Any) -> Any:
        module, _, function = path.partition(":")
        return getattr(importlib.import_module(f"aopc.datasets.{module}"), function)(
            *arguments, **settings
        )

    return call


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

#: Name → the files that a source downloads, ``needed(split, settings) -> [Source]``, for those that do.
DOWNLOADS: dict[str, Callable[[str, Mapping[str, Any]], list[Source]]] = {
    "cifar10": _later("torchvision_sets:needed_cifar10"),
    "ilsvrc2012": _later("ilsvrc2012:needed"),
    "mnist": _later("torchvision_sets:needed_mnist"),
    "places205": _later("places:needed_places205"),
    "places365-validation": _later("places:needed_places365"),
    "sun397": _later("sun397:needed"),
}
