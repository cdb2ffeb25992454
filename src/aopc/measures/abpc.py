"""ABPC, the area between the perturbation curves of both orders."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aopc.base.errors import InputError
from aopc.measures.aopc import Output, values_of
from aopc.perturbation.curves import Curves


def abpc_per_image(lerf: Curves | ArrayLike, morf: Curves | ArrayLike, output: Output = "logit") -> NDArray[np.float64]:
    """Area between the LeRF and the MoRF curve of each image, (N,)."""
    if isinstance(lerf, Curves) and isinstance(morf, Curves) and lerf.image_ids != morf.image_ids:
        raise InputError("LeRF and MoRF curves must be of the same images in the same order")
    high, low = values_of(lerf, output), values_of(morf, output)
    if (high.shape[0], high.shape[2]) != (low.shape[0], low.shape[2]):
        raise InputError(f"LeRF and MoRF curves must have the same images and steps; got {high.shape} and {low.shape}")
    return (high.mean(axis=1) - low.mean(axis=1)).mean(axis=1)


def abpc(lerf: Curves | ArrayLike, morf: Curves | ArrayLike, output: Output = "logit") -> float:
    """Area between the LeRF and the MoRF perturbation curve, the mean over images.

        ABPC = 1/(L + 1) ⟨ Σ_{k=0}^{L} f(x_LeRF⁽ᵏ⁾) − f(x_MoRF⁽ᵏ⁾) ⟩

    Samek et al., journal version (TNNLS 2017). Larger is better. Parameters as of :func:`aopc`.

    Examples
    --------
    >>> abpc([[[4.0, 4.0, 1.0]]], [[[4.0, 2.0, 0.0]]])
    1.0
    """
    return float(np.nanmean(abpc_per_image(lerf, morf, output)))
