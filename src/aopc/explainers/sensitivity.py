"""Sensitivity: the norm of the gradient over the colour channels."""

from torch import Tensor, nn

from aopc.explainers.gradients import backward_from_target, channel_norm


def sensitivity(model: nn.Module, images: Tensor, targets: Tensor, *, norm: float) -> Tensor:
    """Sensitivity heatmaps, h_p = ‖(∂f/∂x_{p,c})_c‖_q.

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks (2014); Samek et al., section
    II.A. Shapes as in the explainer contract (:mod:`aopc.explainers`); values are ≥ 0.
    """
    return channel_norm(backward_from_target(model, images, targets, start_from_score=False), norm)
