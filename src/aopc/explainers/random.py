"""A heatmap of noise: what a heatmap that knows nothing looks like."""

import hashlib

import torch
from torch import Tensor, nn

from aopc.base.random import Stream


def random(model: nn.Module, images: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Heatmaps of independent uniform values on [0, 1), a function of the image's content alone.

    For the complexity measures. The baseline's perturbation curves do not rank these: they average
    over several random orders an image (:mod:`aopc.perturbation`). Shapes as in the explainer
    contract (:mod:`aopc.explainers.contract`).
    """
    heatmaps = []
    for image in images:
        content = hashlib.blake2b(image.float().cpu().contiguous().numpy().tobytes()).hexdigest()
        values = Stream(seed, "random heatmap", content).uniform(tuple(image.shape[1:]))
        heatmaps.append(torch.from_numpy(values))
    return torch.stack(heatmaps)
