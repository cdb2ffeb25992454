"""Figure 7: heatmaps, AOPC and accuracy of one network during its training."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, Table, house_style, show_curve, show_row


@house_style()
def draw_figure7(
    table: Table,
    correlation: Mapping[str, float],
    image: NDArray[np.uint8],
    heatmaps: NDArray[np.float32],
    title: str,
) -> Figure:
    """One image's heatmaps above, AOPC (left axis) and accuracy (right axis) below.

    The table has one row a checkpoint: ``iteration``, ``aopc``, ``random``, ``accuracy`` with their intervals. The
    correlation is that of AOPC and accuracy: ``rho``, ``low``, ``high`` and how many ``checkpoints``. The image,
    (H, W) or (H, W, 3) uint8, has a heatmap at each checkpoint, (C, H, W): red speaks for the class, blue against it.
    The title says what was trained on what.
    """
    rows = pd.DataFrame(table)
    iterations, count = rows["iteration"].to_numpy(), len(rows)
    # As many heatmaps as are readable at page width, the first and the last among them.
    chosen = np.unique(np.linspace(0, count - 1, min(count, 8)).round().astype(int))
    figure = Figure(figsize=(PAGE, 4.1))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.0, 2.4]).flat
    first, *others = iterations[chosen]
    show_row(above, image, heatmaps[chosen], [f"iteration {first}", *map(str, others)])
    left = below.subplots()
    right = left.twinx()
    lines = []
    for axis, name, scale, style in (
        (left, "aopc", 1, ("AOPC", "#D55E00", ())),
        (left, "random", 1, ("AOPC in random order", "#666666", (1.2, 1.2))),
        (right, "accuracy", 100, ("accuracy", "#0072B2", (4, 1.6))),
    ):
        interval = [rows[f"{name}{end}"].to_numpy() * scale for end in ("", "_low", "_high")]
        lines += show_curve(axis, iterations, interval, style, alpha=0.15, marker="o", markersize=3)
    left.set_xlabel("training iterations")
    left.set_ylabel(f"AOPC (class score before softmax; n = {rows['images'][0]})")
    right.set_ylabel(f"test accuracy (%; n = {rows['test_images'][0]})")
    right.grid(False)
    rho, low, high = (correlation[name] for name in ("rho", "low", "high"))
    left.set_title(
        f"{title}: rank correlation ρ = {rho:.2f} [{low:.2f}, {high:.2f}] over {correlation['checkpoints']} checkpoints"
    )
    left.legend(handles=lines, loc="lower right", frameon=True, framealpha=0.9)
    return figure
