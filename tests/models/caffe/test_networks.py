"""Caffe's networks: their sizes, and layers as Caffe computes them (loops in float64, from its source)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aopc.models.caffe.networks import alexnet, caffenet, googlenet
from aopc.models.network import build


@pytest.mark.parametrize(
    ("name", "side", "weights"),
    # From the papers and Caffe's own count of each network's parameters.
    [("caffenet", 227, 60_965_224), ("alexnet", 227, 60_965_224), ("googlenet", 224, 6_998_552)],
)
def test_networks_have_the_published_size(name: str, side: int, weights: int) -> None:
    model = build(name, 1000, {}).eval()
    assert sum(p.numel() for p in model.parameters()) == weights
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, side, side)).shape == (1, 1000)


def test_maps_have_the_sizes_that_caffe_prints() -> None:
    """Caffe's ceil rule: 55 → 27 → 13 → 6 in CaffeNet, 112 → 56 → 28 → 14 → 7 in GoogLeNet."""
    for model, side, expected in (
        (caffenet(classes=2), 227, [55, 27, 27, 13, 13, 13, 13, 6]),
        (alexnet(classes=2), 227, [55, 27, 27, 13, 13, 13, 13, 6]),
        (googlenet(classes=2), 224, [112, 56, 56, 56, 28, 14, 7, 1]),
    ):
        sizes: list[int] = []
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        for module in model.children():
            if isinstance(module, kinds):
                module.register_forward_hook(lambda m, i, o, s=sizes: s.append(o.shape[-1]))
        model.eval()(torch.zeros(1, 3, side, side))
        assert sizes == expected


def caffe_pool(x: np.ndarray, kernel: int, stride: int, pad: int, average: bool) -> np.ndarray:
    """pooling_layer.cpp: the size is rounded up, a last window that starts outside is cut."""
    side = x.shape[-1]
    out = int(np.ceil((side + 2 * pad - kernel) / stride)) + 1
    if pad and (out - 1) * stride >= side + pad:
        out -= 1
    result = np.zeros((*x.shape[:2], out, out))
    for i in range(out):
        for j in range(out):
            top, left = i * stride - pad, j * stride - pad
            bottom, right = min(top + kernel, side + pad), min(left + kernel, side + pad)
            area = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0) : min(bottom, side), max(left, 0) : min(right, side)]
            result[:, :, i, j] = window.sum(axis=(2, 3)) / area if average else window.max(axis=(2, 3))
    return result


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(3, 20),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padded=st.booleans(),
    average=st.booleans(),
)
def test_pooling_is_caffes(side: int, kernel: int, stride: int, padded: bool, average: bool) -> None:
    stride, pad = min(stride, kernel), kernel // 2 if padded else 0
    kind = nn.AvgPool2d if average else nn.MaxPool2d
    layer = kind(kernel, stride=stride, padding=pad, ceil_mode=True)
    x = np.random.default_rng(side).normal(size=(1, 2, side, side))
    expected = caffe_pool(x, kernel, stride, pad, average)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, atol=1e-12)


def test_the_ceil_rule_matters_here() -> None:
    x = np.random.default_rng(0).normal(size=(1, 1, 112, 112))
    assert caffe_pool(x, 3, 2, 0, False).shape[-1] == 56
    assert nn.MaxPool2d(3, 2)(torch.from_numpy(x)).shape[-1] == 55


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 12), size=st.sampled_from([3, 5]), scale=st.sampled_from([1.0, 100.0]))
def test_normalisation_is_caffes(channels: int, size: int, scale: float) -> None:
    """lrn_layer.cpp, ACROSS_CHANNELS: the sum over the window, divided by its full size."""
    alpha, beta = 1e-4, 0.75
    x = scale * np.random.default_rng(channels).normal(size=(2, channels, 3, 3))
    expected = np.empty_like(x)
    for c in range(channels):
        window = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        s = 1.0 + alpha / size * (window**2).sum(axis=1)
        expected[:, c] = x[:, c] * s**-beta
    layer = nn.LocalResponseNorm(size, alpha=alpha, beta=beta, k=1.0)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)
