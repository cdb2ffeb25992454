"""Deconvolution: a backward pass that lets only positive signal through each ReLU."""

from torch import Tensor, nn
from zennit.composites import LayerMapComposite
from zennit.rules import Pass, ReLUDeconvNet

from aopc.explainers.gradients import backward_from_target, channel_norm
from aopc.explainers.layers import require_relu_modules, rules_applied

#: Unpooling to the recorded maxima and transposed filters are what autograd does already.
#: Zeiler and Fergus do not invert the normalisation, so the signal passes it unchanged.
COMPOSITE = [(nn.ReLU, ReLUDeconvNet()), (nn.LocalResponseNorm, Pass())]


def deconvolution(model: nn.Module, images: Tensor, targets: Tensor, *, norm: float) -> Tensor:
    """Deconvolution heatmaps: the norm over the channels of the deconvolution signal.

    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks (2014); Samek et al.,
    section II.B. The signal starts as the class score. Shapes as in the explainer contract
    (:mod:`aopc.explainers`); values are ≥ 0.

    Raises
    ------
    InputError
        If the model's ReLUs are not modules of type ``torch.nn.ReLU``, since the rule then could
        not be applied to them.
    """
    require_relu_modules(model, images[:1])
    with rules_applied(LayerMapComposite(COMPOSITE), model):
        signal = backward_from_target(model, images, targets, start_from_score=True)
    return channel_norm(signal, norm)
