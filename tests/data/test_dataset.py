"""Data sets in memory and on disk."""

from pathlib import Path

import numpy as np

from aopc.data.dataset import Dataset
from aopc.data.sources.drawn import CLASSES, drawn


def test_data_sets_survive_the_disk(tmp_path: Path) -> None:
    data = drawn(style="scenes", split="test", images=3, seed=0)
    data.save(tmp_path / "d", {"seed": 0})
    loaded = Dataset.load(tmp_path / "d")
    np.testing.assert_array_equal(loaded.images, data.images)
    np.testing.assert_array_equal(loaded.masks, data.masks)
    assert loaded.ids == data.ids
    assert loaded.classes == CLASSES
