"""Deconvolution: a backward pass that lets only positive signal through each ReLU."""

from torch import Tensor
from zennit.rules import Pass

from aopc.explainers.backward.coverage import LINEAR_MAPS, MOVES, SCALINGS, SHIFTS
from aopc.explainers.backward.recording import AVERAGE, BATCH_NORM, LINEAR, PADDING, RESPONSE_NORM
from aopc.explainers.backward.rules import RuleSet


def deconvolution() -> RuleSet:
    """The deconvolution signal, which starts as the class score; heatmaps are its norm.

    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2014); Samek et al., section II.B. Unpooling
    to the recorded maxima and transposed filters are what autograd does already. Zeiler and Fergus do not invert the
    normalisation, so the signal passes it unchanged. Networks with another nonlinearity than ReLU are refused.
    """
    linear = MOVES | LINEAR_MAPS | SCALINGS | SHIFTS
    return RuleSet(
        "deconvolution",
        layers={**dict.fromkeys((LINEAR, AVERAGE, BATCH_NORM, PADDING)), RESPONSE_NORM: Pass},
        nodes={**dict.fromkeys(linear), "ReluBackward0": _rectified},
        starts_from_score=True,
    )


def _rectified(signal: Tensor) -> Tensor:
    return signal.clamp(min=0)
