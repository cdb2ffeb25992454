"""LRP and deconvolution in float64, written from the equations with loops over neurons.

Nothing here uses autograd or zennit: each linear layer becomes a dense matrix, and each rule is the
paper's sum over i and j.
"""

from dataclasses import dataclass

import numpy as np
from torch import nn


@dataclass
class Step:
    """A layer, its input, its output, and what its backward rule needs."""

    layer: nn.Module
    x: np.ndarray
    y: np.ndarray
    matrix: np.ndarray | None = None
    winners: np.ndarray | None = None


def convolution_matrix(layer: nn.Conv2d, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    channels, height, width = shape
    weight = layer.weight.detach().double().numpy()
    out, per_group, kh, kw = weight.shape
    (sh, sw), (ph, pw), (dh, dw) = layer.stride, layer.padding, layer.dilation
    oh = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    ow = (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    matrix = np.zeros((out, oh, ow, channels, height, width))
    for o in range(out):
        group = o // (out // layer.groups)
        for r in range(oh):
            for s in range(ow):
                for c in range(per_group):
                    for a in range(kh):
                        for b in range(kw):
                            i, j = r * sh - ph + a * dh, s * sw - pw + b * dw
                            if 0 <= i < height and 0 <= j < width:
                                matrix[o, r, s, group * per_group + c, i, j] = weight[o, c, a, b]
    return matrix.reshape(out * oh * ow, -1), (out, oh, ow)


def max_pool(layer: nn.MaxPool2d, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output, and for each output the flat index of its first maximum (no padding)."""
    channels, height, width = x.shape
    k, s = layer.kernel_size, layer.stride
    count = (lambda n: -(-(n - k) // s) + 1) if layer.ceil_mode else (lambda n: (n - k) // s + 1)
    oh, ow = count(height), count(width)
    # Caffe and torch: the last window starts inside the image.
    oh -= (oh - 1) * s >= height
    ow -= (ow - 1) * s >= width
    y, winners = np.empty((channels, oh, ow)), np.empty((channels, oh, ow), dtype=int)
    for c in range(channels):
        for r in range(oh):
            for q in range(ow):
                cells = [
                    (i, j) for i in range(r * s, min(r * s + k, height)) for j in range(q * s, min(q * s + k, width))
                ]
                best = max(cells, key=lambda ij: x[c, ij[0], ij[1]])
                y[c, r, q] = x[c, best[0], best[1]]
                winners[c, r, q] = np.ravel_multi_index((c, *best), x.shape)
    return y, winners


def lrn_window(layer: nn.LocalResponseNorm, channel: int, channels: int) -> range:
    n = layer.size
    return range(max(0, channel - n // 2), min(channels, channel + (n - 1) // 2 + 1))


def local_response_norm(layer: nn.LocalResponseNorm, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    for c in range(len(x)):
        window = lrn_window(layer, c, len(x))
        s = layer.k + layer.alpha / layer.size * sum(x[i] ** 2 for i in window)
        y[c] = x[c] / s**layer.beta
    return y


def forward(model: nn.Sequential, image: np.ndarray) -> list[Step]:
    steps, x = [], image.astype(np.float64)
    for layer in model:
        step = Step(layer, x, x)
        if isinstance(layer, nn.Conv2d):
            step.matrix, shape = convolution_matrix(layer, x.shape)
            bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()[:, None, None]
            step.y = (step.matrix @ x.ravel()).reshape(shape) + bias
        elif isinstance(layer, nn.Linear):
            step.matrix = layer.weight.detach().double().numpy()
            bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
            step.y = step.matrix @ x + bias
        elif isinstance(layer, nn.ReLU):
            step.y = np.maximum(x, 0)
        elif isinstance(layer, nn.MaxPool2d):
            step.y, step.winners = max_pool(layer, x)
        elif isinstance(layer, nn.LocalResponseNorm):
            step.y = local_response_norm(layer, x)
        elif isinstance(layer, nn.Flatten):
            step.y = x.ravel()
        else:
            raise NotImplementedError(type(layer))
        steps.append(step)
        x = step.y
    return steps


def _unpool(step: Step, signal: np.ndarray) -> np.ndarray:
    result = np.zeros(step.x.size)
    np.add.at(result, step.winners.ravel(), signal.ravel())
    return result.reshape(step.x.shape)


def _start(steps: list[Step], target: int) -> np.ndarray:
    start = np.zeros_like(steps[-1].y)
    start[target] = steps[-1].y[target]
    return start


def deconvolution(model: nn.Sequential, image: np.ndarray, target: int) -> np.ndarray:
    """The deconvolution signal at the input, (C, H, W)."""
    steps = forward(model, image)
    signal = _start(steps, target)
    for step in reversed(steps):
        if step.matrix is not None:
            signal = (step.matrix.T @ signal.ravel()).reshape(step.x.shape)
        elif isinstance(step.layer, nn.ReLU):
            signal = np.maximum(signal, 0)
        elif isinstance(step.layer, nn.MaxPool2d):
            signal = _unpool(step, signal)
        else:
            signal = signal.reshape(step.x.shape)
    return signal


def _bias(step: Step) -> np.ndarray:
    layer = step.layer
    if layer.bias is None:
        return np.zeros(step.y.size)
    bias = layer.bias.detach().double().numpy()
    return np.repeat(bias, step.y.size // len(bias))


def _epsilon(step: Step, relevance: np.ndarray, epsilon: float) -> np.ndarray:
    x, r, z = step.x.ravel(), relevance.ravel(), step.y.ravel()
    result = np.zeros(x.size)
    for j in range(z.size):
        denominator = z[j] + (epsilon if z[j] >= 0 else -epsilon)
        result += x * step.matrix[j] / denominator * r[j]
    return result.reshape(step.x.shape)


def _alpha_beta(step: Step, relevance: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    x, r, bias = step.x.ravel(), relevance.ravel(), _bias(step)
    result = np.zeros(x.size)
    for j in range(r.size):
        z = x * step.matrix[j]
        for factor, part, share in (
            (alpha, np.maximum(z, 0), max(bias[j], 0)),
            (-beta, np.minimum(z, 0), min(bias[j], 0)),
        ):
            total = part.sum() + share
            if total != 0:
                result += factor * part / total * r[j]
    return result.reshape(step.x.shape)


def _lrn(step: Step, relevance: np.ndarray) -> np.ndarray:
    layer, x = step.layer, step.x
    scale = layer.alpha / layer.size
    result = np.zeros_like(x)
    for j in range(len(x)):
        window = lrn_window(layer, j, len(x))
        s = layer.k + scale * sum(x[i] ** 2 for i in window)
        z = {}
        for i in window:
            if i == j:
                z[i] = x[j] * (layer.k + scale * x[j] ** 2) ** -layer.beta
            else:
                z[i] = -2 * scale * layer.beta * x[i] ** 2 * x[j] * s ** (-layer.beta - 1)
        total = sum(z.values())
        for i in window:
            share = np.divide(z[i], total, out=np.zeros_like(total), where=total != 0)
            result[i] += share * relevance[j]
    return result


def lrp(model: nn.Sequential, image: np.ndarray, target: int, rule: str, **settings: float) -> np.ndarray:
    """The relevance of each input, (C, H, W), by the rule "epsilon" or "alpha_beta"."""
    steps = forward(model, image)
    relevance = _start(steps, target)
    for step in reversed(steps):
        if step.matrix is not None:
            linear = _epsilon if rule == "epsilon" else _alpha_beta
            relevance = linear(step, relevance, **settings)
        elif isinstance(step.layer, nn.MaxPool2d):
            relevance = _unpool(step, relevance)
        elif isinstance(step.layer, nn.LocalResponseNorm):
            relevance = _lrn(step, relevance)
        else:
            relevance = relevance.reshape(step.x.shape)
    return relevance
