"""Figure 3: on a network without pooling deconvolution gives one picture a class, LRP one an image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, Table, bare, house_style, legend_below, show_boxes, show_grid

NETWORKS = ("no pooling", "pooling")


@house_style()
def draw_figure3(
    table: Table,
    images: NDArray[np.uint8],
    heatmaps: NDArray[np.floating],
    explainers: Sequence[str],
    shown: Sequence[tuple[str, int, int]],
) -> Figure:
    """Digits, some of them turned, their heatmaps, and how alike the heatmaps of a class are.

    The table has one row a network × explainer × image: ``network`` (of :data:`NETWORKS`), ``explainer``,
    ``similarity``. Each of the K images, (K, H, W) uint8, has in ``shown`` its class, which image of it it is, and by
    how many degrees it is turned; the heatmaps, (explainers, K, H, W), are for each digit's own class.
    """
    figure = Figure(figsize=(PAGE, 2.9))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.7, 1]).flat
    turns = [f"turned {degrees}°".replace("-", "−") if degrees else "" for _, _, degrees in shown]
    titles = [f"“{name}”\n{turn}" for (name, _, _), turn in zip(shown, turns, strict=True)]
    show_grid(left, images, dict(zip(explainers, heatmaps, strict=True)), titles, size=7)
    axis = right.subplots()
    whole = pd.DataFrame(table).astype({"similarity": float})
    known, order = whole[np.isfinite(whole["similarity"])], list(whole["explainer"].unique())
    if known.empty:
        axis.text(0.5, 0.5, "too few images of one class", ha="center", transform=axis.transAxes)
        bare(axis)
        return figure
    show_boxes(axis, known, "network", "similarity", NETWORKS, order, fliersize=1.5, linewidth=0.8)
    counts = [(whole["network"] == n).sum() // len(order) for n in NETWORKS]
    axis.set_xticks(range(2), [f"{n}\n(n = {c})" for n, c in zip(NETWORKS, counts, strict=True)])
    axis.set_xlabel("network")
    axis.set_ylabel("correlation with heatmaps\nof the same class")
    axis.set_ylim(top=1.03)
    legend_below(right, axis, ncols=1, fontsize=6.5)
    return figure
