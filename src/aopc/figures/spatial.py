"""Beyond the paper: what clustering is worth, the spatial control."""

import pandas as pd
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, Table, Titles, house_style, legend_below, style_of, tiles


@house_style()
def draw_spatial(table: Table, titles: Titles) -> Figure:
    """AOPC relative to random order: of each heatmap, and of the same heatmap at random places.

    The table has one row a data set × explainer: ``heatmap``, ``clustering`` with their intervals, ``images``.
    """
    whole = pd.DataFrame(table)
    explainers = list(whole["explainer"].unique())
    panels = [p for p in titles if (whole["data_set"] == p).any()]
    figure = Figure(figsize=(PAGE, 0.2 * len(explainers) + 1.15))
    axes = tiles(figure, len(panels), len(panels), sharey=True)
    for axis, panel in zip(axes, panels, strict=True):
        axis.axvline(0, color="#666666", linewidth=1, dashes=(1.2, 1.2))
        rows = whole[whole["data_set"] == panel].set_index("explainer")
        for y, explainer in enumerate(explainers):
            colour = style_of(explainer, explainers)[1]
            for name, marker, face in (("heatmap", "o", colour), ("clustering", "D", "white")):
                mean, low, high = rows.loc[explainer, [name, f"{name}_low", f"{name}_high"]]
                axis.plot([low, high], [y, y], color=colour, linewidth=1.1)
                axis.plot(mean, y, marker, color=colour, markerfacecolor=face, markersize=4.5)
        axis.set_title(f"{titles[panel]} (n = {rows['images'].iloc[0]})")
        axis.set_xlabel("AOPC relative to\nrandom (score)")
    axes[0].set_yticks(range(len(explainers)), [style_of(e, explainers)[0] for e in explainers], size=6.5)
    axes[0].invert_yaxis()
    for marker, face, label in (("o", "#444444", "the heatmap"), ("D", "white", "the same heatmap at random places")):
        axes[0].plot([], [], marker, color="#444444", markerfacecolor=face, markersize=4.5, label=label)
    legend_below(figure, axes[0], ncols=2)
    return figure
