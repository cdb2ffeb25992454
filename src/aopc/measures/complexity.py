"""How complex a heatmap is: entropy and file size of one and the same rendered image.

The paper does not say how it drew the heatmaps that it measured, and the figures depend on it. Here a heatmap is an
8-bit grey image of its own height and width, drawn by one of :data:`RENDERINGS`. The default, ``minmax``, is
MATLAB's mat2gray: the smallest value black, the largest white. It uses all 256 grey levels for every method and
treats the sign of relevance like any other difference; the others are there to see what that choice does.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from aopc.base.arguments import as_array
from aopc.base.errors import InputError
from aopc.base.names import require_known

#: Bytes in a kilobyte here.
KB = 1024
FORMATS = {"png": {"compress_level": 9}, "jpeg": {"quality": 90}}

#: Name → function that maps a heatmap (H, W) float64 to grey values in [0, 1].
RENDERINGS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "minmax": lambda h: (h - h.min()) / (np.ptp(h) or 1.0),
    "symmetric": lambda h: 0.5 + 0.5 * h / (np.abs(h).max() or 1.0),
    "positive": lambda h: np.maximum(h, 0.0) / (h.max() if h.max() > 0 else 1.0),
    "absolute": lambda h: np.abs(h) / (np.abs(h).max() or 1.0),
}
DEFAULT_RENDERING = "minmax"


def render(heatmap: ArrayLike, rendering: str = DEFAULT_RENDERING) -> NDArray[np.uint8]:
    """The 8-bit grey image of a heatmap, (H, W) → (H, W) uint8.

    Raises
    ------
    InputError
        If the heatmap is not two-dimensional and finite, or the rendering is not known.
    """
    values = as_array("a heatmap", heatmap, "height, width").astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("a heatmap must be finite; it has NaN or infinite values")
    require_known("rendering", rendering, RENDERINGS)
    return np.floor(255.0 * RENDERINGS[rendering](values) + 0.5).astype(np.uint8)


def entropy(heatmap: ArrayLike, rendering: str = DEFAULT_RENDERING) -> float:
    """Entropy of the rendered heatmap in bits, 0 to 8, as MATLAB's ``entropy`` defines it.

    −Σ p log2 p over the 256-bin histogram of the 8-bit grey image (Samek et al., section III.C).

    Examples
    --------
    >>> entropy([[0.0, 1.0], [0.0, 1.0]])
    1.0
    """
    counts = np.bincount(render(heatmap, rendering).ravel(), minlength=256)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum()) + 0.0


def file_size(heatmap: ArrayLike, format: str, rendering: str = DEFAULT_RENDERING) -> float:
    """Size of the rendered heatmap as a file in KB of 1024 bytes (Samek et al., Table I).

    Parameters
    ----------
    heatmap
        (H, W), finite.
    format
        "png" (compression level 9) or "jpeg" (quality 90), as Pillow writes them.
    rendering
        A name of :data:`RENDERINGS`.
    """
    require_known("image format", format, FORMATS)
    file = io.BytesIO()
    Image.fromarray(render(heatmap, rendering)).save(file, format=format, **FORMATS[format])
    return file.tell() / KB


def zero_heatmaps(maps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which heatmaps are zero everywhere and so rank nothing, (N, H, W) → (N,)."""
    return (maps == 0).all(axis=(1, 2))


#: Column → what it measures.
MEASURES: dict[str, Callable[..., float]] = {
    "entropy": entropy,
    "png_kb": partial(file_size, format="png"),
    "jpeg_kb": partial(file_size, format="jpeg"),
}


def complexity_columns(
    explainer: str, heatmaps: NDArray[np.float32], image_ids: Sequence[str], rendering: str
) -> dict[str, list[Any]]:
    """Entropy and file sizes of heatmaps, one row an image; NaN where a heatmap is not finite."""
    finite = [bool(np.isfinite(h).all()) for h in heatmaps]
    return {
        "explainer": [explainer] * len(finite),
        "image": list(image_ids),
        **{
            name: [measure(h, rendering=rendering) if ok else np.nan for h, ok in zip(heatmaps, finite, strict=True)]
            for name, measure in MEASURES.items()
        },
        "zero": zero_heatmaps(heatmaps).tolist(),
        "nonfinite": [not ok for ok in finite],
    }
