"""Evaluate heatmaps by region perturbation, after Samek et al. (arXiv:1509.06321).

The public interface; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aopc.errors import InputError
    from aopc.explainers import heatmaps
    from aopc.measures.bootstrap import Interval, bootstrap_mean
    from aopc.measures.complexity import entropy, file_size
    from aopc.measures.curves import abpc, aopc
    from aopc.models.caffemodel import read_caffemodel
    from aopc.perturbation.engine import Curves, perturbation_curves
    from aopc.perturbation.removal import ValueRange

__version__ = "0.1.0"

_PUBLIC = {
    "Curves": "aopc.perturbation.engine",
    "InputError": "aopc.errors",
    "Interval": "aopc.measures.bootstrap",
    "ValueRange": "aopc.perturbation.removal",
    "abpc": "aopc.measures.curves",
    "aopc": "aopc.measures.curves",
    "bootstrap_mean": "aopc.measures.bootstrap",
    "entropy": "aopc.measures.complexity",
    "file_size": "aopc.measures.complexity",
    "heatmaps": "aopc.explainers",
    "perturbation_curves": "aopc.perturbation.engine",
    "read_caffemodel": "aopc.models.caffemodel",
}

__all__ = [
    "Curves",
    "InputError",
    "Interval",
    "ValueRange",
    "abpc",
    "aopc",
    "bootstrap_mean",
    "entropy",
    "file_size",
    "heatmaps",
    "perturbation_curves",
    "read_caffemodel",
]


def __getattr__(name: str) -> Any:
    # Imported at first use: a stage that needs no torch then starts in a tenth of a second.
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'aopc' has no attribute {name!r}")
