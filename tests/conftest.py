"""What several tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import nn

torch.set_num_threads(1)
# The same examples in every run: a test that passes here passes there.
settings.register_profile("reproducible", derandomize=True)
settings.load_profile("reproducible")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="AOPC_WHOLE_PIPELINES is not set: these are minutes of whole pipelines")
    for item in items:
        if item.get_closest_marker("whole_pipelines") and not os.environ.get("AOPC_WHOLE_PIPELINES"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _forgets_modules_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test wrote and imported is not the next test's module of that name."""
    before, folder = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        places = (getattr(sys.modules[name], "__file__", None), *getattr(sys.modules[name], "__path__", ()))
        if any(folder in str(place) for place in places):
            del sys.modules[name]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real images and trained networks; see CONTRIBUTING.md."""
    folder = os.environ.get("AOPC_REAL_DATA")
    if not folder:
        pytest.skip("AOPC_REAL_DATA is not set: no real data to test on")
    return Path(folder)


def small_network(*, bias: bool = True, lrn: bool = True, seed: int = 0) -> nn.Sequential:
    """Stride, padding, groups, max-pooling with the ceil rule, LRN, three classes; 3 × 13 × 13."""
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=bias),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=2, ceil_mode=True),
        *([nn.LocalResponseNorm(3, alpha=0.5, beta=0.75, k=1.5)] if lrn else []),
        nn.Conv2d(8, 12, 3, padding=1, groups=2, bias=bias),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 4 * 4, 16, bias=bias),
        nn.ReLU(),
        nn.Linear(16, 3, bias=bias),
    ]
    return nn.Sequential(*layers).eval()


def convolutional_network(stride: int, padding: int, groups: int, bias: bool, seed: int) -> nn.Sequential:
    """Every layer that the backward rules know, in float64; 3 × 9 × 9."""
    torch.manual_seed(seed)
    first = nn.Conv2d(3, 6, 3, stride=stride, padding=padding, bias=bias)
    middle = [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), nn.LocalResponseNorm(4, alpha=0.8, k=1.0)]
    second = [nn.Conv2d(6, 6, 2, padding=1, groups=groups, bias=bias), nn.ReLU(), nn.Flatten()]
    width = nn.Sequential(first, *middle, *second)(torch.zeros(1, 3, 9, 9)).shape[1]
    return nn.Sequential(first, *middle, *second, nn.Linear(width, 3, bias=bias)).double().eval()


class Recorder(nn.Module):
    """A linear classifier that keeps all that it saw."""

    def __init__(self, size: tuple[int, int], classes: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * size[0] * size[1], classes)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return self.layer(x.flatten(1))


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Normal noise, (count, 3, height, width)."""
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network() -> nn.Sequential:
    return small_network()
