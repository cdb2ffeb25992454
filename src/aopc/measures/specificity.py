"""Whether a method's heatmap belongs to the image, or to the class only (claim C11)."""

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array, require_same_length
from aopc.base.errors import InputError
from aopc.measures.rounding import RESOLUTION


def similarity_to_others(heatmaps: NDArray[np.floating], classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """How much each heatmap is like those of the other images that are explained for its class.

    Parameters
    ----------
    heatmaps, classes
        (N, H, W), finite; (N,), what is explained.

    Returns
    -------
    (N,): the mean of Pearson's correlations with those heatmaps, −1 to 1; 1 is the same picture up to its scale. NaN
    for a heatmap that is constant up to the rounding of float32, and where there is no other one of the class.

    Examples
    --------
    >>> maps = np.array([[[1.0, 2.0, 4.0]], [[2.0, 4.0, 8.0]], [[5.0, 1.0, 0.0]]])
    >>> similarity_to_others(maps, np.array([3, 3, 9])).round(3).tolist()
    [1.0, 1.0, nan]
    """
    heatmaps = as_array("heatmaps", heatmaps, "images, height, width")
    if not np.isfinite(heatmaps).all():
        raise InputError("heatmaps must be finite; one has NaN or infinite values")
    classes = as_array("classes", classes, "images", kinds="iu")
    require_same_length(heatmaps=heatmaps, classes=classes)
    values = heatmaps.reshape(len(heatmaps), -1).astype(np.float64)
    flat = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1)
    usable = length > RESOLUTION * np.linalg.norm(values, axis=1)
    unit = np.divide(flat, length[:, None], out=np.zeros_like(flat), where=usable[:, None])
    result = np.full(len(flat), np.nan)
    for value in np.unique(classes):
        members = np.flatnonzero((classes == value) & usable)
        if len(members) > 1:
            correlation = unit[members] @ unit[members].T
            result[members] = (correlation.sum(axis=1) - 1) / (len(members) - 1)
    return result


def with_their_spread(similarities: NDArray[np.float64], classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Values of the same mean whose spread over images is that mean's own uncertainty, for a test or a bootstrap.

    Each pair counts for both of its images, so the similarities, (N,) as of :func:`similarity_to_others`, are not
    independent of each other, and their mean varies about twice as much as their spread suggests. It is a U-statistic
    of pairs: an image's influence on it is twice its distance from the mean of its class (Hoeffding 1948).
    """
    similarities = as_array("similarities", similarities, "images")
    classes = as_array("classes", classes, "images", kinds="iu")
    require_same_length(similarities=similarities, classes=classes)
    result = np.full(len(similarities), np.nan)
    usable = np.isfinite(similarities)
    mean = similarities[usable].mean() if usable.any() else np.nan
    for value in np.unique(classes):
        members = (classes == value) & usable
        if members.any():
            result[members] = mean + 2 * (similarities[members] - similarities[members].mean())
    return result
