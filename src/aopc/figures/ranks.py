"""Beyond the paper: which explainer is best under other choices."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, Table, Titles, choice_label, house_style, style_of, tiles


@house_style()
def draw_ranks(table: Table, titles: Titles, main: str = "paper") -> Figure:
    """One table a data set: the rank of each explainer (rows) under each choice (columns).

    The table has one row a data set × choice × explainer: ``rank`` (those without are left out), ``images``.
    The choice "paper" is called ``main``.
    """
    ranked = pd.DataFrame(table).astype({"rank": float}).dropna(subset="rank")
    explainers = list(ranked["explainer"].unique())
    panels = [p for p in titles if (ranked["data_set"] == p).any()]
    across = min(2, len(panels))
    figure = Figure(figsize=(PAGE, -(-len(panels) // across) * (0.21 * len(explainers) + 0.95)))
    for i, (axis, panel) in enumerate(zip(tiles(figure, len(panels), across), panels, strict=True)):
        rows = ranked[ranked["data_set"] == panel]
        _show_ranks(axis, rows.replace({"choice": {"paper": main}}), explainers)
        axis.set_title(f"{titles[panel]} (n = {rows['images'].max()})")
        if i % across:
            axis.set_yticklabels([])
    return figure


def _show_ranks(axis: Axes, rows: pd.DataFrame, explainers: list[str]) -> None:
    choices, count = list(rows["choice"].unique()), len(explainers)
    ranks = rows.pivot(index="explainer", columns="choice", values="rank").reindex(index=explainers, columns=choices)
    axis.imshow(ranks.to_numpy(), cmap="cividis_r", aspect="auto", vmin=1, vmax=count)
    for (row, column), rank in np.ndenumerate(ranks.to_numpy()):
        if np.isfinite(rank):
            weight, colour = "bold" if rank == 1 else "normal", "white" if rank > count / 2 else "black"
            axis.text(column, row, f"{rank:.0f}", ha="center", va="center", size=6.5, weight=weight, color=colour)
    axis.set_xticks(range(len(choices)), [choice_label(c) for c in choices], rotation=55, size=6)
    axis.set_yticks(range(count), [style_of(e, explainers)[0] for e in explainers], size=6)
    axis.grid(False)
