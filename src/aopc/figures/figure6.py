"""Figure 6: the first images of a data set with all their heatmaps."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_heatmap, show_image, style_of

#: How many, as in the paper.
SHOWN = 8


def draw_figure6(
    images: NDArray[np.uint8],
    heatmaps: Mapping[str, NDArray[np.floating]],
    captions: Sequence[str],
    title: str,
) -> Figure:
    """One column an image, one row a method.

    Parameters
    ----------
    images
        (K, H, W, 3) or (K, H, W) uint8.
    heatmaps
        Explainer → (K, H, W).
    captions
        K names of what is explained, the predicted class.
    title
        Of the data set.
    """
    count = len(images)
    side = (PAGE - 0.45) / SHOWN
    with house_style():
        figure = Figure(figsize=(0.45 + side * max(count, 3), (1 + len(heatmaps)) * side + 0.5))
        axes = figure.subplots(1 + len(heatmaps), count, squeeze=False)
        for column in range(count):
            show_image(axes[0, column], images[column])
            axes[0, column].set_title(_two_lines(captions[column]), size=6.5)
            for row, maps in enumerate(heatmaps.values(), start=1):
                show_heatmap(axes[row, column], maps[column])
        labels = ["image", *(style_of(e, list(heatmaps))[0] for e in heatmaps)]
        for row, label in enumerate(labels):
            axes[row, 0].set_ylabel(label.replace(" ", "\n", 1), size=6.5)
        figure.suptitle(title, size=8)
    return figure


def _two_lines(caption: str) -> str:
    """A class name as wide as a column, and no longer than two lines."""
    return "\n".join(textwrap.wrap(caption, 15, max_lines=2, placeholder="…"))
