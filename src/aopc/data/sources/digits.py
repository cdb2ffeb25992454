"""Handwritten digits that scikit-learn ships: 1797 images of 8 × 8 pixels.

Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998), the test part.
They stand in for MNIST without a download.
"""

import numpy as np
from PIL import Image

from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.data.dataset import Dataset

SIZE = 32
TEST_SHARE = 1 / 3


def digits(*, split: str, seed: int) -> Dataset:
    """The digits at 32 × 32 pixels (bicubic), grey; ``seed`` divides them into "train" (two thirds) and "test"."""
    from sklearn.datasets import load_digits

    if split not in ("train", "test"):
        raise InputError(f"the digits have the splits train and test, not {split!r}")
    source = load_digits()
    order = Stream(seed, "digits").permutation(len(source.target))
    tests = round(TEST_SHARE * len(order))
    chosen = np.sort(order[:tests] if split == "test" else order[tests:])
    return Dataset(
        images=np.stack([_enlarged(image) for image in source.images[chosen]]),
        labels=source.target[chosen].astype(np.int64),
        ids=tuple(f"digits/{i:04d}" for i in chosen),
        classes=tuple("0123456789"),
    )


def _enlarged(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray((image / 16 * 255).astype(np.float32))  # the source counts from 0 to 16
    large = np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return np.floor(np.clip(large, 0, 255) + 0.5).astype(np.uint8)
