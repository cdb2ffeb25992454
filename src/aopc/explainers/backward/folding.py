"""Batch normalisation folded into the convolution or linear layer before it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from aopc.explainers.backward.recording import LINEAR, Layer


def can_fold(layer: Layer | None) -> bool:
    """Whether each channel that a batch normalisation scales is one output channel of the layer before it."""
    if layer is None or layer.kind != LINEAR:
        return False
    # A linear layer of more axes has its features last, where batch normalisation has its channels second.
    return layer.input.ndim == layer.weight.ndim


def folded(layer: Layer, norms: Iterable[Layer]) -> Layer:
    """The linear layer that computes what the given one and the batch normalisations behind it do.

    w' = w γ / √(σ² + eps) and b' = (b − μ) γ / √(σ² + eps) + β by output channel, computed in float64.
    """
    weight, bias = layer.weight.double(), None if layer.bias is None else layer.bias.double()
    for norm in norms:
        given = {name: t.detach().double() for name, t in norm.arguments.items() if isinstance(t, Tensor)}
        scale = (given["running_var"] + norm.arguments["eps"]).rsqrt()
        scale = scale * given["weight"] if "weight" in given else scale
        shifted = -given["running_mean"] if bias is None else bias - given["running_mean"]
        bias = shifted * scale + given["bias"] if "bias" in given else shifted * scale
        weight = _by_output_channel(weight, scale, layer.transposed)
    return layer.with_parameters(weight.to(layer.weight), None if bias is None else bias.to(layer.weight))


def _by_output_channel(weight: Tensor, scale: Tensor, transposed: bool) -> Tensor:
    kernel = (1,) * (weight.ndim - 2)
    if not transposed:
        return weight * scale.reshape(-1, 1, *kernel)
    # (inputs, outputs of a group, …): the inputs of the first group come first.
    groups = len(scale) // weight.shape[1]
    grouped = weight.unflatten(0, (groups, -1)) * scale.reshape(groups, 1, -1, *kernel)
    return torch.flatten(grouped, 0, 1)
