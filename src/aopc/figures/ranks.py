"""Beyond the paper: which explainer is best under other choices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, choice_label, house_style, style_of

Table = Mapping[str, Sequence[Any]]


def draw_ranks(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """One table a data set: the rank of each explainer (rows) under each choice (columns).

    Parameters
    ----------
    table
        One row a data set × choice × explainer: ``rank``, ``mean``, ``images``. Explainers without a
        rank are left out.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    ranked = np.isfinite(columns["rank"].astype(float))
    columns = {name: values[ranked] for name, values in columns.items()}
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    across = min(2, len(panels))
    rows = -(-len(panels) // across)
    with house_style():
        height = 0.21 * len(explainers) + 0.95
        figure = Figure(figsize=(PAGE, rows * height))
        axes = figure.subplots(rows, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            _ranks(axis, columns, panel, explainers)
            images = columns["images"][columns["data_set"] == panel].max()
            axis.set_title(f"{panel_titles[panel]} (n = {images})")
        for axis in axes[len(panels) :]:
            axis.remove()
        for i, axis in enumerate(axes[: len(panels)]):
            if i % across:
                axis.set_yticklabels([])
    return figure


def _ranks(
    axis: Axes, columns: Mapping[str, NDArray[Any]], panel: str, explainers: list[str]
) -> None:
    here = columns["data_set"] == panel
    choices = list(dict.fromkeys(columns["choice"][here].tolist()))
    ranks = np.full((len(explainers), len(choices)), np.nan)
    for explainer, choice, rank in zip(
        columns["explainer"][here], columns["choice"][here], columns["rank"][here], strict=True
    ):
        ranks[explainers.index(explainer), choices.index(choice)] = rank
    axis.imshow(ranks, cmap="cividis_r", aspect="auto", vmin=1, vmax=len(explainers))
    for (row, column), rank in np.ndenumerate(ranks):
        if np.isfinite(rank):
            dark = rank > len(explainers) / 2
            axis.text(
                column,
                row,
                f"{rank:.0f}",
                ha="center",
                va="center",
                size=6.5,
                weight="bold" if rank == 1 else "normal",
                color="white" if dark else "black",
            )
    axis.set_xticks(range(len(choices)), [choice_label(c) for c in choices], rotation=55, size=6)
    axis.set_yticks(
        range(len(explainers)), [style_of(e, explainers)[0] for e in explainers], size=6
    )
    axis.grid(False)
