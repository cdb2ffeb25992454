"""Figure 4: AOPC relative to random order against the number of perturbation steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aopc.figures.style import COLUMN, PAGE, house_style, style_of


def draw_figure4(table: Mapping[str, Sequence[Any]], panel_titles: Mapping[str, str]) -> Figure:
    """One panel a data set, one line a heatmap, bands for the pointwise 95 % intervals.

    Parameters
    ----------
    table
        As :meth:`aopc.measures.summary.Summary.relative_table` gives it.
    panel_titles
        Data set → title, in the order of the panels.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    count = len(panel_titles)
    wide = min(count, 4)
    rows = -(-count // wide)
    width = PAGE if count > 1 else 1.4 * COLUMN
    with house_style():
        figure = Figure(figsize=(width, 2.35 * rows + 0.55 if count > 1 else 3.6))
        axes = figure.subplots(rows, wide, squeeze=False).ravel()
        for axis, (name, title) in zip(axes, panel_titles.items(), strict=False):
            images = columns["images"][columns["data_set"] == name]
            axis.axhline(0, color="#666666", linewidth=1.0, dashes=(1.2, 1.2))
            for explainer in explainers:
                rows_of = (columns["data_set"] == name) & (columns["explainer"] == explainer)
                if not rows_of.any():
                    continue
                label, colour, dashes = style_of(explainer, explainers)
                step, mean, low, high = (
                    columns[c][rows_of] for c in ("step", "relative_aopc", "low", "high")
                )
                axis.fill_between(step, low, high, color=colour, alpha=0.13, linewidth=0)
                axis.plot(step, mean, color=colour, label=label, dashes=dashes or (None, None))
            spread = f"{images.min()}–{images.max()}" if np.ptp(images) else f"{images.max()}"
            axis.set_title(f"{title} (n = {spread})")
            axis.set_xlabel("perturbation steps")
            axis.set_xlim(0, columns["step"].max())
            axis.margins(y=0.04)
        for axis in axes[count:]:
            axis.remove()
        for axis in axes[:count:wide]:
            axis.set_ylabel("AOPC relative to random\n(class score before softmax)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=4 if count > 1 else 3,
            frameon=False,
            handlelength=2.4,
        )
    return figure
