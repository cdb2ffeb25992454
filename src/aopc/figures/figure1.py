"""Figure 1: one digit with three heatmaps: random, segmentation, relevance."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_row

TITLES = ("random", "segmentation", "relevance (LRP)")


@house_style()
def draw_figure1(image: NDArray[np.uint8], heatmaps: NDArray[np.floating], titles: Sequence[str] = TITLES) -> Figure:
    """The digit, (H, W) uint8, and its heatmaps, (3, H, W), side by side."""
    figure = Figure(figsize=(PAGE, 2.1))
    show_row(figure, image, heatmaps, titles)
    return figure
