"""AOPC, the area over the perturbation curve."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aopc.base.arguments import as_array
from aopc.base.names import require_known
from aopc.perturbation.curves import Curves

Output = Literal["logit", "probability"]


def values_of(curves: Curves | ArrayLike, output: Output = "logit") -> NDArray[np.float64]:
    """f(x⁽ᵏ⁾) as float64, (N, T, L + 1), of :class:`Curves` or of an array of that shape."""
    require_known("output", output, get_args(Output))
    if isinstance(curves, Curves):
        curves = curves.logits if output == "logit" else curves.probabilities
    return as_array("curves", curves, "images, trajectories, steps + 1").astype(np.float64, copy=False)


def aopc_curves(curves: Curves | ArrayLike, output: Output = "logit") -> NDArray[np.float64]:
    """AOPC after 0, 1, … L steps for each image, (N, L + 1): the mean over its trajectories.

    Element l is 1/(l + 1) Σ_{k=0}^{l} f(x⁽⁰⁾) − f(x⁽ᵏ⁾): Samek et al., equation 12, with l for L.
    """
    values = values_of(curves, output)
    drops = (values[:, :, :1] - values).mean(axis=1)
    return np.cumsum(drops, axis=1) / np.arange(1, drops.shape[1] + 1)


def aopc(curves: Curves | ArrayLike, output: Output = "logit") -> float:
    """Area over the MoRF perturbation curve, the mean over images (Samek et al., equation 12).

        AOPC = 1/(L + 1) ⟨ Σ_{k=0}^{L} f(x⁽⁰⁾) − f(x⁽ᵏ⁾) ⟩

    Larger is better: the heatmap found what the class score depends on. In the units of f. NaN curves, of images
    whose heatmap was not finite, are left out.

    Parameters
    ----------
    curves
        Of MoRF order; :class:`Curves`, or an array (N, T, L + 1).
    output
        Which of the two outputs that :class:`Curves` hold.

    Examples
    --------
    >>> aopc([[[4.0, 2.0, 0.0]]])
    2.0
    """
    return float(np.nanmean(aopc_curves(curves, output)[:, -1]))
