"""Deconvolution: a backward pass that lets only positive signal through each ReLU."""

from torch import Tensor, nn
from zennit.rules import Pass, ReLUDeconvNet

from aopc.explainers.backward.coverage import require_relu_modules
from aopc.explainers.backward.signals import RuleSet


def deconvolution() -> RuleSet:
    """The deconvolution signal, which starts as the class score; heatmaps are its norm.

    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2014); Samek et al., section II.B. Unpooling
    to the recorded maxima and transposed filters are what autograd does already. Zeiler and Fergus do not invert the
    normalisation, so the signal passes it unchanged. Models whose ReLUs are not modules of type ``torch.nn.ReLU`` are
    refused, since the rule could not be applied to them.
    """
    rules = [(nn.ReLU, ReLUDeconvNet), (nn.LocalResponseNorm, Pass)]
    return RuleSet(rules, starts_from_score=True, prepare=_checked)


def _checked(model: nn.Module, image: Tensor) -> nn.Module:
    require_relu_modules(model, image)
    return model
