"""The digits of scikit-learn."""

import numpy as np

from aopc.data.sources.digits import digits


def test_digits_are_divided_without_overlap() -> None:
    train_part, test_part = digits(split="train", seed=0), digits(split="test", seed=0)
    assert len(train_part) + len(test_part) == 1797
    assert not set(train_part.ids) & set(test_part.ids)
    assert test_part.images.shape[1:] == (32, 32)
    assert np.bincount(test_part.labels).min() > 40
