"""The pipeline's files of a panel."""

import numpy as np
import pytest

from aopc.base.errors import InputError
from aopc.data.dataset import Dataset
from aopc.paper.panel import require_same_classes


def test_classes_mean_the_same_in_both_splits() -> None:
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1])
    training = Dataset(images, labels, ("a", "b"), ("bird", "cat"))
    test = Dataset(images, labels, ("a", "b"), ("cat", "dog"))
    require_same_classes(training, training, "pets")
    with pytest.raises(InputError, match="have other classes: bird, dog is in one"):
        require_same_classes(training, test, "pets")
