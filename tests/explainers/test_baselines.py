"""Baselines that do not know the network."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.baselines import centre_first, image_edges
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


def test_centre_first_by_hand() -> None:
    """3 × 5: the corners are √5 away from the centre; 1 × 2: both halves a pixel away, by a pixel's own scale."""
    x = torch.zeros(2, 3, 3, 5)
    found = centre_first(nn.Identity(), x, torch.tensor([0, 0]))
    far = 5**0.5
    rows = [[far, 2**0.5, 1, 2**0.5, far], [2, 1, 0, 1, 2], [far, 2**0.5, 1, 2**0.5, far]]
    expected = 1 - np.array(rows) / far
    assert found.shape == (2, 3, 5)
    for heatmap in found:
        np.testing.assert_allclose(heatmap, expected, atol=1e-6)
    assert centre_first(nn.Identity(), torch.zeros(1, 3, 1, 2), torch.tensor([0])).tolist() == [[[0.5, 0.5]]]
    assert centre_first(nn.Identity(), torch.zeros(1, 3, 1, 1), torch.tensor([0])).tolist() == [[[1.0]]]
    found[0, 0, 0] = 9  # each image has a map of its own
    assert found[1, 0, 0] != 9


def test_image_edges_by_hand() -> None:
    """A plane that rises by a to the right and by b downwards: Sobel's magnitude is 2 √(a² + b²) inside."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    plane = torch.stack([3 * x + 4 * y, -3 * x + y, torch.zeros(6, 7)])[None]  # the mean rises by 0 and by 5/3
    across = torch.stack([3 * x + 4 * y] * 3)[None]
    for image, expected in ((across, 10.0), (plane, 10 / 3)):
        found = image_edges(nn.Identity(), image, torch.tensor([0]))
        assert found.shape == (1, 6, 7)
        np.testing.assert_allclose(found[0, 1:-1, 1:-1], expected, rtol=1e-5)
    # The border is continued, so an even image has no edges, not at the border either.
    even = image_edges(nn.Identity(), torch.full((2, 3, 5, 4), 7.0), torch.tensor([0, 0]))
    assert even.shape == (2, 5, 4)
    assert even.abs().max() < 1e-5
    # At the border a ramp rises half as much.
    ramp = image_edges(nn.Identity(), torch.stack([x] * 3)[None], torch.tensor([0]))[0]
    np.testing.assert_allclose(ramp[:, [0, -1]], 1.0, rtol=1e-5)
    np.testing.assert_allclose(ramp[:, 1:-1], 2.0, rtol=1e-5)
    # Weights 1 2 1: next to a single bright pixel, and diagonally.
    dot = torch.zeros(1, 3, 5, 5)
    dot[..., 2, 2] = 4
    found = image_edges(nn.Identity(), dot, torch.tensor([0]))[0]
    expected = np.array([[2**0.5, 2, 2**0.5], [2, 0, 2], [2**0.5, 2, 2**0.5]])
    np.testing.assert_allclose(found[1:-1, 1:-1], expected, atol=1e-5)
