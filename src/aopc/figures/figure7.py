"""Figure 7: heatmaps, AOPC and accuracy of one network during its training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_heatmap, show_image

#: AOPC, AOPC of random order, accuracy (Okabe, Ito 2008).
_AOPC, _RANDOM, _ACCURACY = "#D55E00", "#666666", "#0072B2"


def draw_figure7(
    table: Mapping[str, Sequence[Any]],
    correlation: Mapping[str, float],
    image: NDArray[np.uint8],
    heatmaps: NDArray[np.float32],
    title: str,
) -> Figure:
    """One image's heatmaps above, AOPC (left axis) and accuracy (right axis) below.

    Parameters
    ----------
    table
        One row a checkpoint: ``iteration``, ``aopc``, ``random``, ``accuracy`` with their intervals.
    correlation
        Of AOPC and accuracy: ``rho``, ``low``, ``high`` and how many ``checkpoints``.
    image
        (H, W, 3) or (H, W) uint8.
    heatmaps
        (C, H, W): its heatmap at each checkpoint; red speaks for the class, blue against it.
    title
        What was trained on what.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    count = len(columns["iteration"])
    # As many heatmaps as are readable at page width, the first and the last among them.
    chosen = np.unique(np.linspace(0, count - 1, min(count, 8)).round().astype(int))
    with house_style():
        figure = Figure(figsize=(PAGE, 4.1))
        rows = figure.add_gridspec(2, 1, height_ratios=[1.0, 2.4])
        above, below = figure.add_subfigure(rows[0]), figure.add_subfigure(rows[1])
        axes = np.atleast_1d(above.subplots(1, len(chosen) + 1))
        show_image(axes[0], image)
        axes[0].set_title("image")
        for axis, i in zip(axes[1:], chosen, strict=True):
            show_heatmap(axis, heatmaps[i])
            axis.set_title(f"{columns['iteration'][i]}")
        axes[1].set_title(f"iteration {columns['iteration'][chosen[0]]}")
        left = below.subplots()
        right = left.twinx()
        lines = []
        for axis, name, colour, label, dashes in (
            (left, "aopc", _AOPC, "AOPC", ()),
            (left, "random", _RANDOM, "AOPC in random order", (1.2, 1.2)),
            (right, "accuracy", _ACCURACY, "accuracy", (4, 1.6)),
        ):
            x, scale = columns["iteration"], 100 if name == "accuracy" else 1
            low, high = columns[f"{name}_low"] * scale, columns[f"{name}_high"] * scale
            axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            lines += axis.plot(
                x,
                columns[name] * scale,
                color=colour,
                label=label,
                marker="o",
                markersize=3,
                dashes=dashes or (None, None),
            )
        left.set_xlabel("training iterations")
        left.set_ylabel(f"AOPC (class score before softmax; n = {columns['images'][0]})")
        right.set_ylabel(f"test accuracy (%; n = {columns['test_images'][0]})")
        right.grid(False)
        left.set_title(
            f"{title}: rank correlation ρ = {correlation['rho']:.2f}"
            f" [{correlation['low']:.2f}, {correlation['high']:.2f}]"
            f" over {correlation['checkpoints']} checkpoints"
        )
        left.legend(handles=lines, loc="lower right", frameon=True, framealpha=0.9)
    return figure
