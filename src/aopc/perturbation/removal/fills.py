"""Fills: replacement images that do not depend on which regions are removed."""

import numpy as np

from aopc.base.random import Stream
from aopc.perturbation.value_range import Image, ValueRange

#: Standard deviation of the Gaussian blur in pixels.
BLUR_SIGMA = 3.0


def uniform(image: Image, values: ValueRange, stream: Stream) -> Image:
    """Each value from the uniform distribution over its channel's range (Samek et al., III.B)."""
    return values.scale(stream.uniform(image.shape))


def dirichlet(image: Image, values: ValueRange, stream: Stream) -> Image:
    """Each pixel's colour from a flat Dirichlet distribution.

    The channels are the first C of C + 1 components with concentration 1, as fractions of the value range: all
    colours with Σ_c v_c ≤ 1 are equally likely. The journal version names the distribution without its parameters;
    this is our reading.
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
