"""Beyond the paper: relevance on the object, where it is known, beside AOPC."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, Table, Titles, house_style, legend_below, style_of, tiles


@house_style()
def draw_ground_truth(table: Table, metrics: Mapping[str, Any], titles: Titles) -> Figure:
    """AOPC against the share of the positive relevance on the object, one point an explainer.

    The table has one row a data set × choice × explainer: ``mean`` with its interval, ``images``; the metrics are
    data set → explainer → numbers, for AOPC.
    """
    whole = pd.DataFrame(table)
    explainers = list(whole["explainer"].unique())
    panels = [p for p in titles if (whole["data_set"] == p).any()]
    figure = Figure(figsize=(PAGE, 2.75))
    axes = tiles(figure, len(panels), len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        rows = whole[(whole["data_set"] == panel) & (whole["choice"] == "relevance on the object")]
        for explainer, mean, low, high in rows[["explainer", "mean", "low", "high"]].itertuples(index=False):
            label, colour, _ = style_of(explainer, explainers)
            aopc, aopc_low, aopc_high = (metrics[panel][explainer][f"aopc{end}"] for end in ("", "_low", "_high"))
            axis.errorbar(
                mean * 100,
                aopc,
                xerr=[[100 * (mean - low)], [100 * (high - mean)]],
                yerr=[[aopc - aopc_low], [aopc_high - aopc]],
                fmt="o",
                color=colour,
                markersize=4,
                linewidth=0.9,
                label=label if panel == panels[0] else None,
            )
        axis.set_title(f"{titles[panel]} (n = {rows['images'].max()})")
        axis.set_xlabel("positive relevance on the object (%)")
    axes[0].set_ylabel("AOPC (class score before softmax)")
    legend_below(figure, axes[0], handletextpad=0.1)
    return figure
