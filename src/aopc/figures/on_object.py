"""Beyond the paper: relevance on the object, where it is known, beside AOPC."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, house_style, style_of

Table = Mapping[str, Sequence[Any]]


def draw_ground_truth(
    table: Table, metrics: Mapping[str, Any], titles: Mapping[str, str]
) -> Figure:
    """AOPC against the share of the positive relevance on the object, one point an explainer.

    Parameters
    ----------
    table
        One row a data set × choice × explainer, ``mean`` with its interval, ``images``.
    metrics
        Data set → explainer → numbers, for AOPC.
    titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    panels = [p for p in titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    with house_style():
        figure = Figure(figsize=(PAGE, 2.75))
        axes = np.atleast_1d(figure.subplots(1, len(panels)))
        for axis, panel in zip(axes, panels, strict=True):
            here = (columns["data_set"] == panel) & (columns["choice"] == "relevance on the object")
            for i in np.flatnonzero(here):
                explainer = str(columns["explainer"][i])
                label, colour, _ = style_of(explainer, explainers)
                found = metrics[panel][explainer]
                axis.errorbar(
                    columns["mean"][i] * 100,
                    found["aopc"],
                    xerr=[
                        [100 * (columns["mean"][i] - columns["low"][i])],
                        [100 * (columns["high"][i] - columns["mean"][i])],
                    ],
                    yerr=[
                        [found["aopc"] - found["aopc_low"]],
                        [found["aopc_high"] - found["aopc"]],
                    ],
                    fmt="o",
                    color=colour,
                    markersize=4,
                    linewidth=0.9,
                    label=label if panel == panels[0] else None,
                )
            axis.set_title(f"{titles[panel]} (n = {columns['images'][here].max()})")
            axis.set_xlabel("positive relevance on the object (%)")
        axes[0].set_ylabel("AOPC (class score before softmax)")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, handletextpad=0.1)
    return figure
