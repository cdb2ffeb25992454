"""When an accuracy is said to be that of guessing."""

import numpy as np
import pytest

from aopc.measures.chance import no_better_than_chance


@pytest.mark.parametrize(
    ("right", "images", "classes"),
    [
        (1, 24, 1000),
        (0, 24, 1000),
        (0, 5, 1000),
        (25, 5000, 1000),
        (60, 100, 2),
        (1, 10, 10),
        (2, 10, 5),
        (510, 1000, 2),
    ],
)
def test_near_chance_is_said(right: int, images: int, classes: int) -> None:
    said = no_better_than_chance(right, images, classes, "panel: ")
    assert said is not None
    assert said.startswith(f"panel: only {right} of {images} images")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("right", "images", "classes"),
    [(17, 24, 1000), (2, 24, 1000), (0, 4, 1000), (0, 1, 2), (400, 5000, 1000), (80, 100, 2), (6, 10, 10), (5, 5, 1000),
     (3, 6, 2), (0, 20, 1), (3, 5, 4), (4, 5, 4), (6, 8, 2),
     (5, 8, 2)]  # a quarter of the way is not less than it,
)  # fmt: skip
def test_what_is_above_it_or_too_few_is_not(right: int, images: int, classes: int) -> None:
    assert no_better_than_chance(right, images, classes) is None


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_guessing_is_nearly_always_found(classes: int) -> None:
    right = np.random.default_rng(0).binomial(50, 1 / classes, 400)
    assert np.mean([no_better_than_chance(int(r), 50, classes) is not None for r in right]) > 0.95
