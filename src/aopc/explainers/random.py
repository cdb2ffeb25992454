"""An explainer (:mod:`aopc.explainers.contract`) that knows nothing: its heatmaps are noise."""

import hashlib

import torch
from torch import Tensor, nn

from aopc.base.random import Stream


def random(model: nn.Module, images: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """Heatmaps of independent uniform values on [0, 1), a function of the image's content alone.

    For the complexity measures. The baseline's perturbation curves do not rank these: they average over several
    random orders an image (:mod:`aopc.perturbation`).
    """

    def noise(image: Tensor) -> Tensor:
        content = hashlib.blake2b(image.float().cpu().contiguous().numpy().tobytes()).hexdigest()
        return torch.from_numpy(Stream(seed, "random heatmap", content).uniform(tuple(image.shape[1:])))

    return torch.stack([noise(image) for image in images])
