"""Beyond the paper: how far the rankings under other choices agree with the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, PANEL_COLOURS, PANEL_MARKERS, choice_label, house_style

Table = Mapping[str, Sequence[Any]]


def draw_agreement(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """How the ranking under each choice agrees with the paper's, and by how much LRP leads.

    Parameters
    ----------
    table
        One row a data set × choice: ``rho``, ``low``, ``high`` and ``lead``, ``lead_low``, ``lead_high``.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    shown = ~np.char.endswith(columns["choice"].astype(str), "all images")
    shown &= columns["choice"] != "paper"
    choices = list(dict.fromkeys(columns["choice"][shown].tolist()))
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    with house_style():
        figure = Figure(figsize=(PAGE * 0.62, 0.38 * len(choices) + 1.1))
        axis = figure.subplots()
        axis.axvline(0, color="#666666", linewidth=0.8)
        for i, panel in enumerate(panels):
            for row, choice in enumerate(choices):
                here = shown & (columns["data_set"] == panel) & (columns["choice"] == choice)
                if not here.any():
                    continue
                rho, low, high = (float(columns[c][here][0]) for c in ("rho", "low", "high"))
                y = row + 0.16 * (i - (len(panels) - 1) / 2)
                colour = PANEL_COLOURS[i % 6]
                axis.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.7)
                axis.plot(
                    rho,
                    y,
                    PANEL_MARKERS[i % 6],
                    color=colour,
                    markersize=4,
                    label=panel_titles[panel] if row == 0 else None,
                )
        axis.set_yticks(range(len(choices)), [choice_label(c).replace("\n", " ") for c in choices])
        axis.invert_yaxis()
        axis.set_xlim(-1.05, 1.05)
        count, images = (int(columns[c][shown].max()) for c in ("explainers", "images"))
        axis.set_xlabel(
            f"rank correlation ρ with AOPC as the paper takes it\n({count} explainers; n ≤ {images} images)"
        )
        figure.legend(loc="outside lower center", ncols=4, frameon=False, handletextpad=0.1)
    return figure
