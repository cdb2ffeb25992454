"""Figure 5: file sizes of the heatmaps, image by image, and their entropy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import (
    PAGE,
    PANEL_COLOURS,
    PANEL_MARKERS,
    house_style,
    style_of,
    take_legend,
)

LRP = "lrp-alpha2-beta1"
AGAINST = ("sensitivity-l2", "deconvolution-l2")


def draw_figure5(
    table: Mapping[str, Sequence[Any]], panel_titles: Mapping[str, str], explainers: Sequence[str]
) -> Figure:
    """Two scatter plots of PNG sizes against LRP, one point an image; box plots of entropy by method.

    Parameters
    ----------
    table
        One row a data set × explainer × image: ``png_kb``, ``entropy``, ``zero``.
    panel_titles
        Data set → title.
    explainers
        In the order of the boxes.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    drawn = ~columns["zero"].astype(bool)
    with house_style():
        figure = Figure(figsize=(PAGE, 5.4))
        grid = figure.add_gridspec(2, 1, height_ratios=[1.1, 1])
        above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        axes = above.subplots(1, 2)
        for axis, other in zip(axes, AGAINST, strict=True):
            _scatter(axis, columns, drawn, other, panel_titles)
        handles, labels = axes[0].get_legend_handles_labels()
        above.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, handletextpad=0.2
        )
        _boxes(below.subplots(), columns, drawn, panel_titles, explainers)
        handles, labels = take_legend(below.axes[0])
        labels = [style_of(e, explainers)[0] for e in labels]
        below.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _scatter(
    axis: Axes,
    columns: Mapping[str, NDArray[Any]],
    drawn: NDArray[np.bool_],
    other: str,
    titles: Mapping[str, str],
) -> None:
    highest, counts = 0.0, []
    for i, (name, title) in enumerate(titles.items()):
        rows = {
            e: (columns["data_set"] == name) & (columns["explainer"] == e) for e in (LRP, other)
        }
        if not rows[LRP].any() or not rows[other].any():
            continue
        both = drawn[rows[LRP]] & drawn[rows[other]]
        x, y = (columns["png_kb"][rows[e]].astype(float)[both] for e in (other, LRP))
        axis.scatter(
            x,
            y,
            s=8,
            alpha=0.55,
            linewidths=0,
            color=PANEL_COLOURS[i % 6],
            marker=PANEL_MARKERS[i % 6],
            label=title,
        )
        highest = max([highest, *x, *y])
        counts.append(int(both.sum()))
    axis.plot([0, highest * 1.05], [0, highest * 1.05], color="#666666", linewidth=0.8)
    axis.set_xlim(0, highest * 1.05)
    axis.set_ylim(0, highest * 1.05)
    # Images on which one of the two heatmaps is zero are left out, so each plot has its own n.
    spread = f"{min(counts)}–{max(counts)}" if len(set(counts)) > 1 else f"{max(counts, default=0)}"
    axis.set_title(f"n = {spread} a data set" if len(titles) > 1 else f"n = {spread}")
    axis.set_xlabel(f"{style_of(other, [])[0]}: PNG size (KB)")
    axis.set_ylabel(f"{style_of(LRP, [])[0]}: PNG size (KB)")


def _boxes(
    axis: Axes,
    columns: Mapping[str, NDArray[Any]],
    drawn: NDArray[np.bool_],
    titles: Mapping[str, str],
    explainers: Sequence[str],
) -> None:
    sns.boxplot(
        x=columns["data_set"][drawn],
        y=columns["entropy"][drawn].astype(float),
        hue=columns["explainer"][drawn],
        order=list(titles),
        hue_order=list(explainers),
        palette={e: style_of(e, explainers)[1] for e in explainers},
        fliersize=1.2,
        linewidth=0.7,
        ax=axis,
    )
    ticks = []
    for name, title in titles.items():
        here = drawn & (columns["data_set"] == name)
        counts = {int((here & (columns["explainer"] == e)).sum()) for e in explainers}
        spread = f"{min(counts)}–{max(counts)}" if len(counts) > 1 else f"{max(counts)}"
        ticks.append(f"{title} (n = {spread})")
    axis.set_xticks(range(len(ticks)), ticks)
    axis.set_xlabel("")
    axis.set_ylabel("entropy of the heatmap (bit)")
