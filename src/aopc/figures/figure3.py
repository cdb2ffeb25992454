"""Figure 3: on a network without pooling deconvolution gives one picture a class, LRP one an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import (
    PAGE,
    bare,
    house_style,
    show_heatmap,
    show_image,
    style_of,
    take_legend,
)


def draw_figure3(
    table: Mapping[str, Sequence[Any]],
    images: NDArray[np.uint8],
    heatmaps: NDArray[np.floating],
    explainers: Sequence[str],
    shown: Sequence[tuple[str, int, int]],
) -> Figure:
    """Digits, some of them turned, their heatmaps, and how alike the heatmaps of a class are.

    Parameters
    ----------
    table
        One row a network × explainer × image: ``network`` ("pooling", "no pooling"), ``explainer``,
        ``similarity``.
    images
        (K, H, W) uint8.
    heatmaps
        (len(explainers), K, H, W), for each digit's own class.
    explainers
        In the order of the rows.
    shown
        K × (class, which image of it, by how many degrees it is turned).
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    with house_style():
        figure = Figure(figsize=(PAGE, 2.9))
        grid = figure.add_gridspec(1, 2, width_ratios=[1.7, 1])
        left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        axes = left.subplots(1 + len(explainers), len(images), squeeze=False)
        for column, image in enumerate(images):
            show_image(axes[0, column], image)
            name, _, degrees = shown[column]
            turned = f"\nturned {degrees}°".replace("-", "−") if degrees else "\n"
            axes[0, column].set_title(f"“{name}”{turned}", size=7)
            for row in range(len(explainers)):
                show_heatmap(axes[row + 1, column], heatmaps[row, column])
        for row, label in enumerate(["image", *(style_of(e, [])[0] for e in explainers)]):
            axes[row, 0].set_ylabel(label.replace(" ", "\n", 1), size=7)
        axis = right.subplots()
        order = list(dict.fromkeys(columns["explainer"].tolist()))
        networks = ["no pooling", "pooling"]
        counts = [int((columns["network"] == n).sum() / max(1, len(order))) for n in networks]
        known = np.isfinite(columns["similarity"].astype(float))
        if not known.any():
            axis.text(
                0.5, 0.5, "too few images of one class", ha="center", transform=axis.transAxes
            )
            bare(axis)
            return figure
        sns.boxplot(
            x=columns["network"][known],
            y=columns["similarity"][known].astype(float),
            hue=columns["explainer"][known],
            order=networks,
            hue_order=order,
            palette={e: style_of(e, order)[1] for e in order},
            fliersize=1.5,
            linewidth=0.8,
            ax=axis,
        )
        axis.set_xticks(
            range(2), [f"{n}\n(n = {c})" for n, c in zip(networks, counts, strict=True)]
        )
        axis.set_xlabel("network")
        axis.set_ylabel("correlation with heatmaps\nof the same class")
        axis.set_ylim(top=1.03)
        handles, _ = take_legend(axis)
        right.legend(
            handles,
            [style_of(e, order)[0] for e in order],
            loc="outside lower center",
            ncols=1,
            frameon=False,
            fontsize=6.5,
        )
    return figure
