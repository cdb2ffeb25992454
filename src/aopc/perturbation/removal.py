"""What replaces a removed region: one replacement image for each image and repeat.

A region's new pixels are cut from the replacement image, so they do not depend on the order in
which regions are removed, and all explainers meet the same ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aopc.errors import InputError
from aopc.streams import Stream

#: Standard deviation of the Gaussian blur in pixels.
BLUR_SIGMA = 3.0

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
        finite = np.isfinite(self.low).all() and np.isfinite(self.high).all()
        if len(self.low) != len(self.high) or not finite or not np.less(self.low, self.high).all():
            raise InputError(
                "the value range needs one finite low and one higher high for each channel; got"
                f" low {self.low} and high {self.high}"
            )

    def scale(self, fractions: NDArray[np.floating]) -> Image:
        """(C, H, W) fractions of the range → values in it."""
        low = np.asarray(self.low, dtype=np.float32)[:, None, None]
        high = np.asarray(self.high, dtype=np.float32)[:, None, None]
        return (low + (high - low) * fractions).astype(np.float32)


#: (image (C, H, W) in the model's input space, its value range, random stream) → replacement.
Removal = Callable[[Image, ValueRange, Stream], Image]


def uniform(image: Image, values: ValueRange, stream: Stream) -> Image:
    """Each value from the uniform distribution over its channel's range (Samek et al., III.B)."""
    return values.scale(stream.uniform(image.shape))


def dirichlet(image: Image, values: ValueRange, stream: Stream) -> Image:
    """Each pixel's colour from a flat Dirichlet distribution.

    The channels are the first C of C + 1 components with concentration 1, as fractions of the
    value range: all colours with Σ_c v_c ≤ 1 are equally likely. The journal version names the
    distribution without its parameters; this is our reading.
    """
    channels, height, width = image.shape
    draws = -np.log1p(-stream.uniform((channels + 1, height, width)).astype(np.float64))
    total = np.maximum(draws.sum(axis=0), np.finfo(np.float64).tiny)
    return values.scale(draws[:channels] / total)


def mean(image: Image, values: ValueRange, stream: Stream) -> Image:
    """The image's own mean colour everywhere."""
    means = image.astype(np.float64).mean(axis=(1, 2), keepdims=True).astype(np.float32)
    return np.broadcast_to(means, image.shape).copy()


def blur(image: Image, values: ValueRange, stream: Stream) -> Image:
    """The image blurred by a Gaussian with σ = 3 pixels, its border continued outwards."""
    from scipy.ndimage import gaussian_filter

    sigma = (0, BLUR_SIGMA, BLUR_SIGMA)
    return gaussian_filter(image.astype(np.float64), sigma, mode="nearest").astype(np.float32)


#: Name → removal: those that the journal version of the paper compares.
REMOVALS: dict[str, Removal] = {
    "uniform": uniform,
    "dirichlet": dirichlet,
    "mean": mean,
    "blur": blur,
}
