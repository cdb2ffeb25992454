"""Incremental inference equals full passes on every layer kind."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from aopc.models.caffe.networks import Inception
from aopc.models.zoo.normalisation import ChannelNorm
from aopc.perturbation.partition import Grid
from both_ways import both, require_incremental
from conftest import images

pytestmark = pytest.mark.usefixtures("always")


class Residual(nn.Module):
    """Addition of branches with other windows, a strided shortcut, an activation in place."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Conv2d(channels, channels, 1, stride)
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        y += self.shortcut(x)
        return self.last(y)


class Normalised(nn.Module):
    """Normalises its input itself, with buffers, and concatenates before a functional activation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3])[:, None, None])
        self.register_buffer("scale", torch.tensor([1.1, 0.9, 1.3])[None, :, None, None])
        self.near, self.far = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) / self.scale * 2.0
        return functional.relu(torch.cat([self.near(x), self.far(x)], 1)) + 0.5


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 6, 3),
    "padding": lambda: nn.Conv2d(3, 6, 5, padding=2),
    "stride": lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1),
    "stride above kernel": lambda: nn.Conv2d(3, 6, 2, stride=3),
    "dilation": lambda: nn.Conv2d(3, 6, 3, padding=2, dilation=2),
    "groups": lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3),
    "unequal axes": lambda: nn.Conv2d(3, 6, (3, 1), stride=(1, 2), padding=(1, 0)),
    "1 × 1": lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 3)),
    "max-pooling": lambda: nn.MaxPool2d(3, 2),
    "ceil mode": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "padded max-pooling": lambda: nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
    "pooling and convolution of one map": lambda: Inception(3, 4, (3, 5), (2, 4), 3),
    "average pooling": lambda: nn.AvgPool2d(2, 2, padding=1),
    "average without its padding": lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average with ceil mode": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
    "LRN": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(3, 0.5)),
    "LRN as a product": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), ChannelNorm(5, 0.3)),
    "batch norm": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.GELU()),
    "residual": lambda: nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), Residual(6, 1), Residual(6, 2)),
    "concatenation": Normalised,
    "unknown layer": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.InstanceNorm2d(6), nn.Conv2d(6, 4, 3)),
    "reflecting padding": lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
    "padding by name": lambda: nn.Conv2d(3, 6, 3, padding="same"),
}


def network_with(layer: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), layer, nn.ReLU())
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.LazyLinear(4)).eval()


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=6, deadline=None)
@given(
    shape=st.tuples(st.integers(12, 40), st.integers(12, 40)),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**20),
)
def test_equals_full_passes(name: str, shape: tuple[int, int], size: int, seed: int) -> None:
    """On every layer kind, for images and regions that do not divide each other."""
    x = images(2, *shape, seed)
    model = network_with(LAYERS[name](), seed)
    with torch.no_grad():
        model(x)  # the lazy layer takes its size
    steps = min(9, Grid(*shape, size).count)
    found, expected = both(model, x, region_size=size, steps=steps, seed=seed)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    if min(shape) > 30 and size < 3:
        require_incremental(model, x, size)


class Tap(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean((2, 3), keepdim=True) * 0.5


class Centred(nn.Module):
    """Its activation is a subclass of ReLU that reads the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.tap = Tap()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.tap(self.first(x)).mean((2, 3)))


def test_a_layer_of_a_known_kind_that_was_changed_is_not_taken_for_it() -> None:
    torch.manual_seed(0)
    model, x = Centred().eval(), images(2, 24, 24)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
