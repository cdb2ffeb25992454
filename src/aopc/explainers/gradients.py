"""What sensitivity, deconvolution and LRP share: one backward pass from the explained class."""

import torch
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.models.inference import logits_of


def backward_from_target(
    model: nn.Module, images: Tensor, targets: Tensor, *, start_from_score: bool
) -> Tensor:
    """The backward signal at the input, shape and dtype of ``images``.

    It starts at the score of each image's target class, before the softmax, with the value of the
    score itself (``start_from_score``, LRP and deconvolution) or with 1 (the gradient); all other
    classes start with zero.

    Raises
    ------
    InputError
        If a target is no output of the model.
    """
    with torch.enable_grad():
        inputs = images.detach().clone().requires_grad_(True)
        scores = logits_of(model, inputs)
        if int(targets.min()) < 0 or int(targets.max()) >= scores.shape[1]:
            raise InputError(
                f"targets must be classes from 0 to {scores.shape[1] - 1}, the model's outputs;"
                f" got {int(targets.min())} to {int(targets.max())}"
            )
        chosen = nn.functional.one_hot(targets, scores.shape[1]).to(scores)
        start = chosen * scores.detach() if start_from_score else chosen
        (signal,) = torch.autograd.grad(scores, inputs, grad_outputs=start)
    return signal.detach()


def channel_norm(signal: Tensor, norm: float) -> Tensor:
    """‖·‖_q over the colour channels, (N, C, H, W) → (N, H, W); q = 2 or ∞ in the paper."""
    return torch.linalg.vector_norm(signal, ord=norm, dim=1)
