"""Beyond the paper: what clustering is worth, the spatial control."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, house_style, style_of

Table = Mapping[str, Sequence[Any]]


def draw_spatial(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """AOPC relative to random order: of each heatmap, and of the same heatmap at random places.

    Parameters
    ----------
    table
        One row a data set × explainer: ``heatmap``, ``clustering`` with their intervals, ``images``.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    with house_style():
        figure = Figure(figsize=(PAGE, 0.2 * len(explainers) + 1.15))
        axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        for axis, panel in zip(axes, panels, strict=True):
            axis.axvline(0, color="#666666", linewidth=1, dashes=(1.2, 1.2))
            for row, explainer in enumerate(explainers):
                here = (columns["data_set"] == panel) & (columns["explainer"] == explainer)
                colour = style_of(explainer, explainers)[1]
                for name, marker, face in (("heatmap", "o", colour), ("clustering", "D", "white")):
                    mean, low, high = (
                        float(columns[f"{name}{end}"][here][0]) for end in ("", "_low", "_high")
                    )
                    axis.plot([low, high], [row, row], color=colour, linewidth=1.1)
                    axis.plot(mean, row, marker, color=colour, markerfacecolor=face, markersize=4.5)
            axis.set_title(f"{panel_titles[panel]} (n = {columns['images'][here][0]})")
            axis.set_xlabel("AOPC relative to\nrandom (score)")
        axes[0].set_yticks(
            range(len(explainers)), [style_of(e, explainers)[0] for e in explainers], size=6.5
        )
        axes[0].invert_yaxis()
        for marker, face, label in (
            ("o", "#444444", "the heatmap"),
            ("D", "white", "the same heatmap at random places"),
        ):
            axes[0].plot(
                [], [], marker, color="#444444", markerfacecolor=face, markersize=4.5, label=label
            )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
