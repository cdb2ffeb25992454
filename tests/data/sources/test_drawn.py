"""Drawn images: reproducible, masked, and classes that are shapes alone."""

import numpy as np
import pytest

from aopc.data.sources.drawn import STYLES, drawn


@pytest.mark.parametrize("style", list(STYLES))
def test_drawn_images_are_reproducible_and_masked(style: str) -> None:
    data = drawn(style=style, split="test", images=20, seed=0)
    again = drawn(style=style, split="test", images=12, seed=0)
    np.testing.assert_array_equal(data.images[:12], again.images)
    assert data.images.shape == (20, 64, 64, 3)
    assert data.labels.tolist() == list(range(10)) * 2
    share = data.masks.mean(axis=(1, 2))
    assert ((share > 0.01) & (share < 0.7)).all()
    other = drawn(style=style, split="train", images=12, seed=0)
    assert (other.images != again.images).any(axis=(1, 2, 3)).all()


def test_drawn_colour_says_nothing_about_the_class() -> None:
    """Mean colour by class differs no more than by chance: F test by permutation, p > 0.001."""
    data = drawn(style="objects", split="train", images=600, seed=1)
    colours = data.images.mean(axis=(1, 2))

    def between(labels: np.ndarray) -> float:
        return sum(colours[labels == c].mean(axis=0).var() for c in range(10)) + float(
            np.var([colours[labels == c].mean(axis=0) for c in range(10)], axis=0).sum()
        )

    rng = np.random.default_rng(0)
    chance = [between(rng.permutation(data.labels)) for _ in range(300)]
    assert between(data.labels) <= max(chance)
