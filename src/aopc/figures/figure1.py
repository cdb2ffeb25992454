"""Figure 1: one digit with three heatmaps: random, segmentation, relevance."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_heatmap, show_image

TITLES = ("random", "segmentation", "relevance (LRP)")


def draw_figure1(
    image: NDArray[np.uint8], heatmaps: NDArray[np.floating], titles: Sequence[str] = TITLES
) -> Figure:
    """The digit and its heatmaps side by side.

    Parameters
    ----------
    image
        (H, W) uint8.
    heatmaps
        (3, H, W).
    titles
        One a heatmap.
    """
    with house_style():
        figure = Figure(figsize=(PAGE, 2.1))
        axes = figure.subplots(1, 1 + len(heatmaps))
        show_image(axes[0], image)
        axes[0].set_title("image")
        for axis, heatmap, title in zip(axes[1:], heatmaps, titles, strict=True):
            show_heatmap(axis, heatmap)
            axis.set_title(title)
    return figure
