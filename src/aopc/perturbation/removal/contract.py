"""What may replace a removed region: fills, which need no mask, and imputers, which see it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array
from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.base.text import shown
from aopc.perturbation.value_range import Image, ValueRange

#: (image (C, H, W) in the model's input space, its value range, random stream) → a replacement image. A region's
#: new pixels are cut from it, so they do not depend on the order in which regions are removed, and all explainers
#: meet the same ones.
Fill = Callable[[Image, ValueRange, Stream], Image]


@dataclass(frozen=True)
class Imputer:
    """A removal that sees what is left: each step's image is made anew, by a full pass.

    Attributes
    ----------
    impute
        (image (C, H, W), removed (H, W) bool, value range, random stream) → the image with the removed pixels
        replaced and all others as they were. The stream is the same at each step.
    """

    impute: Callable[[Image, NDArray[np.bool_], ValueRange, Stream], Image]

    def __post_init__(self) -> None:
        if not callable(self.impute):
            raise InputError(f"an imputer needs a function; got {shown(self.impute)}")

    def __call__(self, image: Image, removed: NDArray[np.bool_], values: ValueRange, stream: Stream) -> Image:
        """The imputed image, InputError if its shape is another; pixels that are left are taken from the original."""
        # Copies, since a user's function may write into what it is given.
        found = self.impute(image.copy(), removed.copy(), values, stream)
        return np.where(removed, checked_shape(found, image), image).astype(np.float32)


Removal = Fill | Imputer


def checked_shape(replacement: Image, image: Image) -> Image:
    """What a removal gave, if it is of the image's shape; else InputError."""
    replacement = as_array("what the removal returns", replacement)
    if replacement.shape != image.shape:
        raise InputError(f"the removal must return an image of shape {image.shape}; it returned {replacement.shape}")
    return replacement
