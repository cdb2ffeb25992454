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
        # Arrays would be the caller's, and a removal of the user's could change them.
        for name in ("low", "high"):
            bound = as_array("bounds of values", getattr(self, name), "channels").astype(np.float64)
            object.__setattr__(self, name, tuple(bound.tolist()))
        finite = np.isfinite(self.low).all() and np.isfinite(self.high).all()
        if len(self.low) != len(self.high) or not finite or not np.less(self.low, self.high).all():
            raise InputError(
                "the value range needs one finite low and one higher high for each channel; got"
                f" low {self.low} and high {self.high}"
            )

    @classmethod
    def of_image(cls, image: Image) -> "ValueRange":
        """From the smallest to the largest value of each channel of one image."""
        low, high = image.min(axis=(1, 2)), image.max(axis=(1, 2))
        # A channel with one value only still needs a range of some width.
        return cls(tuple(low), tuple(np.where(high > low, high, low + np.maximum(1.0, np.abs(low)))))

    def for_channels(self, channels: int) -> "ValueRange":
        """The same for images of so many channels, of which one stands for all; InputError for another number."""
        if len(self.low) not in (1, channels):
            raise InputError(f"value_range has {len(self.low)} channels, but the images have {channels}")
        times = channels // len(self.low)
        return ValueRange(self.low * times, self.high * times)

    def scale(self, fractions: NDArray[np.floating]) -> Image:
        """(C, H, W) fractions of the range → values in it."""
        low, high = (np.asarray(bound, dtype=np.float32)[:, None, None] for bound in (self.low, self.high))
        return (low + (high - low) * fractions).astype(np.float32)
