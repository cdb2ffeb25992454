"""Figure 5: file sizes of the heatmaps, image by image, and their entropy."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, PANEL_LOOKS, Table, Titles, house_style, legend_below, show_boxes, span, style_of

LRP = "lrp-alpha2-beta1"
AGAINST = ("sensitivity-l2", "deconvolution-l2")


@house_style()
def draw_figure5(table: Table, titles: Titles, explainers: Sequence[str]) -> Figure:
    """Two scatter plots of PNG sizes against LRP, one point an image; box plots of entropy by method.

    The table has one row a data set × explainer × image: ``png_kb``, ``entropy``, ``zero``; the boxes stand in
    the order of the explainers.
    """
    whole = pd.DataFrame(table).astype({"png_kb": float, "entropy": float, "zero": bool})
    figure = Figure(figsize=(PAGE, 5.4))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.1, 1]).flat
    axes = above.subplots(1, 2)
    for axis, other in zip(axes, AGAINST, strict=True):
        _scatter(axis, whole, other, titles)
    legend_below(above, axes[0], handletextpad=0.2)
    axis, drawn = below.subplots(), whole[~whole["zero"]]
    show_boxes(axis, drawn, "data_set", "entropy", list(titles), explainers, fliersize=1.2, linewidth=0.7)
    ticks = []
    for name, title in titles.items():
        here = drawn["explainer"][drawn["data_set"] == name]
        ticks.append(f"{title} (n = {span([(here == e).sum() for e in explainers])})")
    axis.set_xticks(range(len(ticks)), ticks)
    axis.set_xlabel("")
    axis.set_ylabel("entropy of the heatmap (bit)")
    legend_below(below, axis)
    return figure


def _scatter(axis: Axes, whole: pd.DataFrame, other: str, titles: Titles) -> None:
    highest, counts = 0.0, []
    for i, (name, title) in enumerate(titles.items()):
        panel = whole[whole["data_set"] == name]
        rows = [panel[panel["explainer"] == e] for e in (other, LRP)]
        if any(r.empty for r in rows):
            continue
        both = ~(rows[0]["zero"].to_numpy() | rows[1]["zero"].to_numpy())
        x, y = (r["png_kb"].to_numpy()[both] for r in rows)
        colour, marker = PANEL_LOOKS[i % 6]
        axis.scatter(x, y, s=8, alpha=0.55, linewidths=0, color=colour, marker=marker, label=title)
        highest = max([highest, *x, *y])
        counts.append(int(both.sum()))
    axis.plot([0, highest * 1.05], [0, highest * 1.05], color="#666666", linewidth=0.8)
    axis.set_xlim(0, highest * 1.05)
    axis.set_ylim(0, highest * 1.05)
    # Images on which one of the two heatmaps is zero are left out, so each plot has its own n.
    axis.set_title(f"n = {span(counts)} a data set" if len(titles) > 1 else f"n = {span(counts)}")
    axis.set_xlabel(f"{style_of(other, [])[0]}: PNG size (KB)")
    axis.set_ylabel(f"{style_of(LRP, [])[0]}: PNG size (KB)")
