"""Deconvolution against the equations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import reference
from aopc.explainers.backward.signals import Signals
from aopc.explainers.deconvolution import deconvolution
from aopc.explainers.registry import EXPLAINERS, Backward
from aopc.explainers.run import _heatmap, _rules_of
from aopc.explainers.sensitivity import gradient
from conftest import convolutional_network, images


@settings(max_examples=12, deadline=None)
@given(
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2, 3]),
    bias=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_deconvolution_equals_the_equations(stride: int, padding: int, groups: int, bias: bool, seed: int) -> None:
    model = convolutional_network(stride, padding, groups, bias, seed)
    x = images(1, 9, 9, seed).double()
    target = int(model(x).argmax())
    expected = reference.deconvolution(model, x[0].numpy(), target)
    for norm, name in ((2, "deconvolution-l2"), (np.inf, "deconvolution-linf")):
        explainer = EXPLAINERS[name]
        assert isinstance(explainer, Backward)
        signals = Signals(model, {"": _rules_of(explainer)})
        ours = _heatmap(explainer, signals(x, torch.tensor([target]))[""].values)[0].numpy()
        np.testing.assert_allclose(ours, np.linalg.norm(expected, norm, axis=0), atol=1e-10)


#: Steps that are linear in the image: without a ReLU the signal is the gradient, times the score.
LINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "moves": lambda x: x.flip(3).permute(0, 2, 3, 1).reshape(len(x), -1),
    "a convolution": lambda x: F.conv2d(x, torch.arange(24.0).reshape(2, 3, 2, 2)),
    "a matrix": lambda x: x.flatten(1) @ torch.arange(216.0).reshape(108, 2),
    "average pooling": lambda x: F.avg_pool2d(x, 2),
    "adaptive pooling": lambda x: F.adaptive_avg_pool2d(x, 2),
    "a mean": lambda x: x.mean((2, 3)),
    "padding": lambda x: F.pad(x, (1, 1)),
    "scalings": lambda x: -(x * 3) / 2,
    "shifts": lambda x: x + 1 - torch.ones(6),
    "a sum of two": lambda x: x + x.flip(3) - 2 * x,
    "maxima": lambda x: F.max_pool2d(x, 2),
    "batch normalisation": lambda x: F.batch_norm(x, torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])),
    "branches": lambda x: torch.cat([x, 2 * x], 1),
}


@pytest.mark.parametrize("step", LINEAR)
def test_linear_steps_pass_the_signal_as_the_gradient_does(step: str) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return LINEAR[step](x).flatten(1)[:, :2]

    x, targets = images(2, 6, 6), torch.tensor([0, 1])
    found = Signals(Model(), {"d": deconvolution(), "g": gradient()})(x, targets)
    scores = Model()(x).gather(1, targets[:, None])[:, :, None, None]
    torch.testing.assert_close(found["d"].values, found["g"].values * scores)


def test_local_response_normalisation_passes_the_signal_unchanged() -> None:
    model = nn.Sequential(nn.LocalResponseNorm(3, alpha=0.5, k=2.0), nn.Flatten()).eval()
    x = images(1, 2, 2)
    (found,) = Signals(model, {"": deconvolution()})(x, torch.tensor([5])).values()
    expected = torch.zeros(12)
    expected[5] = model(x)[0, 5]
    torch.testing.assert_close(found.values.flatten(), expected)
