"""Baselines that do not know the network."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from conftest import small_network


def pictures(count: int, side: int) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_baselines_do_not_know_the_network() -> None:
    x = pictures(2, 12)
    first, second = small_network(seed=0), small_network(seed=1)
    for name in ("centre-first", "image-edges"):
        a, b = (aopc.heatmaps(m, pictures(2, 13), name, [0, 1]) for m in (first, second))
        np.testing.assert_array_equal(a, b)
    centre = aopc.heatmaps(nn.Sequential(nn.Flatten(), nn.Linear(432, 2)), x, "centre-first", [0, 1])
    np.testing.assert_array_equal(centre[0], centre[1])
    np.testing.assert_allclose(centre[0], centre[0][::-1, ::-1], atol=1e-6)
    assert centre[0].min() == pytest.approx(0, abs=1e-6)
    assert centre[0].argmin() == 0
    step = torch.zeros(1, 3, 12, 12)
    step[..., 6:] = 1
    linear = nn.Sequential(nn.Flatten(), nn.Linear(432, 2))
    edges = aopc.heatmaps(linear, step, "image-edges", [0])[0]
    assert set(np.flatnonzero(edges.sum(0))) == {5, 6}
    np.testing.assert_allclose(edges[:, 5], 1.0)
