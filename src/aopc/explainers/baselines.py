"""Explainers (:mod:`aopc.explainers.contract`) that do not know the network: what others have to be better than."""

import torch
from torch import Tensor, nn


def centre_first(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The nearer to the image's centre, the more relevant: the same for every image.

    Photographs have their subject in the middle. Least relevant first, it is borders first. Values are 1 minus the
    distance from the centre in units of the image's half diagonal, 0 to 1.
    """
    height, width = images.shape[2:]
    y, x = (torch.arange(length, device=images.device) - (length - 1) / 2 for length in (height, width))
    distance = torch.sqrt(x.square() + y[:, None].square())
    near = 1 - distance / distance.max().clamp(min=1)
    return near.expand(len(images), height, width).contiguous()


def image_edges(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The strength of the image's own edges: Sobel's gradient magnitude of the mean over channels.

    It shows outlines without having seen the network (Adebayo et al.: Sanity Checks for Saliency Maps, 2018). Values
    are ≥ 0, in units of the model's input.
    """
    grey = images.mean(dim=1, keepdim=True)
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]).to(grey) / 4
    kernels = torch.stack([kernel, kernel.T])[:, None]
    padded = nn.functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    return torch.linalg.vector_norm(nn.functional.conv2d(padded, kernels), dim=1)
