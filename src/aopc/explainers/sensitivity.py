"""Sensitivity: the norm of the gradient over the colour channels."""

from aopc.explainers.backward.rules import RuleSet


def gradient() -> RuleSet:
    """The gradient ∂f/∂x; sensitivity heatmaps are its norm, h_p = ‖(∂f/∂x_{p,c})_c‖_q.

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks (2014); Samek et al., section II.A.
    """
    return RuleSet()
