"""The pipeline's files of a panel."""

import numpy as np
import pytest

from aopc.base.errors import InputError
from aopc.data.dataset import Dataset
from aopc.paper.panel import chosen_images, require_other_images, require_same_classes


def test_classes_mean_the_same_in_both_splits() -> None:
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1])
    training = Dataset(images, labels, ("a", "b"), ("bird", "cat"))
    test = Dataset(images, labels, ("a", "b"), ("cat", "dog"))
    require_same_classes(training, training, "pets")
    with pytest.raises(InputError, match="have other classes: bird, dog is in one"):
        require_same_classes(training, test, "pets")


def test_no_panel_is_another_under_a_second_name(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 5, 3), dtype=np.uint8)
    whole = Dataset(pixels, None, tuple("abcde"), ())
    seen: dict[str, set[bytes]] = {}
    require_other_images(seen, whole.take(np.array([0, 1, 2])), "objects")
    require_other_images(seen, whole.take(np.array([3])), "scenes")
    assert capsys.readouterr().err == ""
    require_other_images(seen, whole.take(np.array([2, 4])), "others")
    assert capsys.readouterr().err == "aopc: the panels objects and others share 1 images\n"
    for rows in ([2, 0], [0, 1, 2], [4, 2, 1, 0]):
        with pytest.raises(InputError, match="the panels objects and more show the same images"):
            require_other_images(seen, whole.take(np.array(rows)), "more")


def test_a_panel_shows_an_image_once(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    twice = Dataset(pixels[[0, 1, 2, 3, 1]], None, tuple("abcde"), ())
    assert chosen_images(twice, None, None, 0, "objects").ids == tuple("abcd")
    assert "left out 1 copies of other images: image e (as b)" in capsys.readouterr().err
