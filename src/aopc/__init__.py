"""Evaluate heatmaps by region perturbation, after Samek et al. (arXiv:1509.06321).

The public interface; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aopc.base.errors import InputError as InputError
    from aopc.engine.curves import perturbation_curves as perturbation_curves
    from aopc.explainers.run import heatmaps as heatmaps
    from aopc.measures.abpc import abpc as abpc
    from aopc.measures.aopc import aopc as aopc
    from aopc.measures.complexity import entropy as entropy
    from aopc.measures.complexity import file_size as file_size
    from aopc.measures.statistics.bootstrap import Interval as Interval
    from aopc.measures.statistics.bootstrap import bootstrap_mean as bootstrap_mean
    from aopc.models.caffe.caffemodel import read_caffemodel as read_caffemodel
    from aopc.models.network import Network as Network
    from aopc.perturbation.curves import Curves as Curves
    from aopc.perturbation.partition import Grid as Grid
    from aopc.perturbation.partition import LabelMap as LabelMap
    from aopc.perturbation.protocol import Protocol as Protocol
    from aopc.perturbation.removal import Imputer as Imputer
    from aopc.perturbation.value_range import ValueRange as ValueRange

__version__ = "0.1.0"

#: Name → module, imported at first use: a stage that needs no torch starts in a tenth of a second.
_PUBLIC = {
    "Curves": "aopc.perturbation.curves",
    "Grid": "aopc.perturbation.partition",
    "Imputer": "aopc.perturbation.removal",
    "InputError": "aopc.base.errors",
    "Interval": "aopc.measures.statistics.bootstrap",
    "LabelMap": "aopc.perturbation.partition",
    "Network": "aopc.models.network",
    "Protocol": "aopc.perturbation.protocol",
    "ValueRange": "aopc.perturbation.value_range",
    "abpc": "aopc.measures.abpc",
    "aopc": "aopc.measures.aopc",
    "bootstrap_mean": "aopc.measures.statistics.bootstrap",
    "entropy": "aopc.measures.complexity",
    "file_size": "aopc.measures.complexity",
    "heatmaps": "aopc.explainers.run",
    "perturbation_curves": "aopc.engine.curves",
    "read_caffemodel": "aopc.models.caffe.caffemodel",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'aopc' has no attribute {name!r}")
