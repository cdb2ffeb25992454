"""The values that an image can take in the model's input space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array
from aopc.base.errors import InputError

#: (C, H, W).
Image = NDArray[np.float32]


@dataclass(frozen=True)
class ValueRange:
    """The values that a pixel can take in the model's input space, by channel.

    Parameters
    ----------
    low, high
        (C,) each; for mean-subtracted input −mean and 255 − mean, say.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        low, high = (as_array("bounds of values", bound, "channels") for bound in (self.low, self.high))
        finite = np.isfinite(low).all() and np.isfinite(high).all()
        if len(low) != len(high) or not finite or not np.less(low, high).all():
            raise InputError(
                "the value range needs one finite low and one higher high for each channel; got"
                f" low {self.low} and high {self.high}"
            )

    def scale(self, fractions: NDArray[np.floating]) -> Image:
        """(C, H, W) fractions of the range → values in it."""
        low, high = (np.asarray(bound, dtype=np.float32)[:, None, None] for bound in (self.low, self.high))
        return (low + (high - low) * fractions).astype(np.float32)
