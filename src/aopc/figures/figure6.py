"""Figure 6: the first images of a data set with all their heatmaps."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_grid

#: How many, as in the paper.
SHOWN = 8


@house_style()
def draw_figure6(
    images: NDArray[np.uint8], heatmaps: Mapping[str, NDArray[np.floating]], captions: Sequence[str], title: str
) -> Figure:
    """One column an image, (K, H, W) or (K, H, W, 3) uint8, one row an explainer with its heatmaps, (K, H, W).

    The K captions name what is explained, the predicted class; the title is the data set's.
    """
    side = (PAGE - 0.45) / SHOWN
    figure = Figure(figsize=(0.45 + side * max(len(images), 3), (1 + len(heatmaps)) * side + 0.5))
    # As wide as a column, and no longer than two lines.
    titles = ["\n".join(textwrap.wrap(c, 15, max_lines=2, placeholder="…")) for c in captions]
    show_grid(figure, images, heatmaps, titles, size=6.5)
    figure.suptitle(title, size=8)
    return figure
