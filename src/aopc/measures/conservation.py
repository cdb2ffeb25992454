"""How much of the score a heatmap adds up to (claim C10)."""

import numpy as np
from numpy.typing import NDArray

from aopc.measures.rounding import RESOLUTION


def conserved_share(heatmaps: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Σ_p h_p / f(x) of each image, (N,): 1 where relevance is conserved (Bach et al. 2015).

    NaN where the score is no denominator: it is within the rounding of what float32 adds up to it, Σ_p |h_p|.

    Parameters
    ----------
    heatmaps, scores
        (N, H, W) and (N,), f(x) of what is explained.

    Examples
    --------
    >>> conserved_share(np.array([[[3.0, -1.0]], [[1.0, -1.0]]]), np.array([2.0, 1e-9])).tolist()
    [1.0, nan]
    """
    sums, sizes = (
        np.array([f(np.asarray(h, dtype=np.float64)).sum() for h in heatmaps]) for f in (np.positive, np.abs)
    )
    usable = np.abs(scores) > RESOLUTION * sizes
    return np.divide(sums, scores, out=np.full(len(scores), np.nan), where=usable)
