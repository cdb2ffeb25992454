"""How much of a heatmap lies on what the label names, where that is known."""

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array
from aopc.base.errors import InputError


def relevance_mass(heatmaps: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the positive relevance that lies on the object's mask, (N,), 0 to 1.

    Arras, Osman, Samek: CLEVR-XAI (2022), relevance mass accuracy. A heatmap that knows nothing reaches the
    mask's share of the image. NaN where nothing is positive, or the mask is empty.

    Parameters
    ----------
    heatmaps, masks
        (N, H, W) each; a mask has the object's pixels.

    Examples
    --------
    >>> relevance_mass(np.array([[[3.0, 1.0, -5.0]]]), np.array([[[True, False, True]]])).tolist()
    [0.75]
    """
    heatmaps = as_array("heatmaps", heatmaps, "images, height, width")
    masks = as_array("masks", masks, "images, height, width", kinds="b")
    if heatmaps.shape != masks.shape:
        raise InputError(f"heatmaps and masks must have one shape; got {heatmaps.shape} and {masks.shape}")
    positive = np.maximum(heatmaps.astype(np.float64), 0.0)
    total = positive.sum(axis=(1, 2))
    usable = np.isfinite(total) & (total > 0) & masks.any(axis=(1, 2))
    inside = np.where(masks, positive, 0.0).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(total), np.nan), where=usable)


def pointing_game(heatmaps: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Whether the most relevant pixel lies on the object's mask, (N,) of 0 and 1.

    Zhang et al.: Top-Down Neural Attention by Excitation Backprop (2016), here without a tolerance around the
    mask. Of several maxima the first counts. NaN as in :func:`relevance_mass`.
    """
    usable = np.isfinite(relevance_mass(heatmaps, masks))
    peak = np.nan_to_num(heatmaps).reshape(len(heatmaps), -1).argmax(axis=1)
    hit = masks.reshape(len(masks), -1)[np.arange(len(masks)), peak]
    return np.where(usable, hit.astype(np.float64), np.nan)
