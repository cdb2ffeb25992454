"""Local response normalisation as a matrix product: torch's own, up to rounding."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.models.zoo.normalisation import ChannelNorm
from aopc.models.zoo.small_caffenet import small_caffenet


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 9),
    size=st.integers(1, 7),
    beta=st.sampled_from([0.5, 0.75, 1.0]),
    seed=st.integers(0, 1000),
)
def test_channel_norm_is_torchs(channels: int, size: int, beta: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, channels, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    ours, theirs = ChannelNorm(size, 0.7, beta, 1.3), nn.LocalResponseNorm(size, 0.7, beta, 1.3)
    torch.testing.assert_close(ours(x), theirs(x))
    gradients = [torch.autograd.grad(layer(x).square().sum(), x)[0] for layer in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_heatmaps_through_channel_norm_are_those_through_torchs() -> None:
    torch.manual_seed(0)
    ours = small_caffenet(classes=4, width=4).eval()
    theirs = nn.Sequential(
        *[nn.LocalResponseNorm(m.size, m.alpha, m.beta, m.k) if isinstance(m, ChannelNorm) else m for m in ours]
    ).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for name in ("sensitivity-l2", "deconvolution-l2", "lrp-alpha2-beta1", "lrp-epsilon-0.01"):
        a, b = (aopc.heatmaps(m, x, name, [0, 1]) for m in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())
