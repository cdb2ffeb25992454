"""What may replace a removed region: fills, which need no mask, and imputers, which see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        """The image with what is removed imputed; InputError if it is not right (:func:`checked`)."""
        # Copies, since a user's function may write into what it is given.
        found = self.impute(image.copy(), removed.copy(), values, stream)
        return np.where(removed, checked(found, image, removed), image)


Removal = Fill | Imputer


def checked(replacement: Any, image: Image, removed: NDArray[np.bool_] | None = None) -> Image:
    """A copy of what a removal gave, as float32.

    InputError if it is no array of numbers of the image's shape, or not finite where pixels are ``removed`` (H, W),
    None: anywhere.
    """
    try:
        found = np.asarray(replacement)
        if isinstance(replacement, np.ma.MaskedArray):
            raise TypeError("its mask would be lost")
    except Exception as error:  # what it gave is of any kind
        raise InputError(f"the removal must return an array; it returned {type(replacement).__name__}") from error
    if found.shape != image.shape:
        given = found.shape if found.dtype.kind in "fiub" else type(replacement).__name__
        raise InputError(f"the removal must return an image of shape {image.shape}; it returned {given}")
    if found.dtype.kind not in "fiu":
        raise InputError(f"the removal must return real numbers; it returned {found.dtype}")
    with np.errstate(over="ignore"):
        made = found.astype(np.float32)
    if not np.isfinite(made if removed is None else made[:, removed]).all():
        raise InputError("the removal gave values that are NaN or infinite")
    return made
