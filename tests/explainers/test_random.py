"""Heatmaps of noise: a function of the image's content and the seed."""

import numpy as np
import torch
from torch import nn

from aopc.explainers.random import random
from conftest import images

NOTHING, CLASSES = nn.Identity(), torch.tensor([0, 0, 0])


def test_it_is_uniform_noise() -> None:
    found = random(NOTHING, images(3, 60, 80), CLASSES)
    assert found.shape == (3, 60, 80)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() < 1
    flat = found.reshape(3, -1).numpy()
    np.testing.assert_allclose(flat.mean(axis=1), 0.5, atol=5 * np.sqrt(1 / 12 / 4800))
    np.testing.assert_allclose(flat.var(axis=1), 1 / 12, rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(flat), np.eye(3), atol=5 / np.sqrt(4800))


def test_it_belongs_to_the_content_alone() -> None:
    """Not to the place in the batch, the target, the layout in memory, nor the dtype that holds the same values."""
    x = images(3, 6, 8)
    found = random(NOTHING, x, CLASSES)
    np.testing.assert_array_equal(random(NOTHING, x.flip(0), CLASSES + 1).flip(0), found)
    np.testing.assert_array_equal(random(NOTHING, x.to(memory_format=torch.channels_last), CLASSES), found)
    np.testing.assert_array_equal(random(NOTHING, x.double(), CLASSES), found)
    changed = x.clone()
    changed[0, 2, 5, 7] += 1
    assert (random(NOTHING, changed, CLASSES)[0] != found[0]).any()


def test_the_seed_is_0_and_another_gives_other_noise() -> None:
    x = images(1, 6, 8)
    found = random(NOTHING, x, CLASSES[:1])
    np.testing.assert_array_equal(random(NOTHING, x, CLASSES[:1], seed=0), found)
    assert (random(NOTHING, x, CLASSES[:1], seed=1) != found).any()
