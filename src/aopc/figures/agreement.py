"""Beyond the paper: how far the rankings under other choices agree with the paper's."""

import pandas as pd
from matplotlib.figure import Figure

from aopc.figures.style import PAGE, PANEL_LOOKS, Table, Titles, choice_label, house_style, legend_below


@house_style()
def draw_agreement(table: Table, titles: Titles, taken: str = "as the paper takes it") -> Figure:
    """How the ranking under each choice agrees with that of AOPC as it is ``taken`` in the main experiment.

    The table has one row a data set × choice: ``rho``, ``low``, ``high``, ``explainers``, ``images``.
    """
    whole = pd.DataFrame(table)
    shown = whole[(whole["choice"] != "paper") & ~whole["choice"].str.endswith("all images")]
    choices = list(shown["choice"].unique())
    panels = [p for p in titles if (whole["data_set"] == p).any()]
    figure = Figure(figsize=(PAGE * 0.62, 0.38 * len(choices) + 1.1))
    axis = figure.subplots()
    axis.axvline(0, color="#666666", linewidth=0.8)
    for i, panel in enumerate(panels):
        (colour, marker), title = PANEL_LOOKS[i % 6], titles[panel]
        for row, choice in enumerate(choices):
            y = row + 0.16 * (i - (len(panels) - 1) / 2)
            here = shown[(shown["data_set"] == panel) & (shown["choice"] == choice)]
            for rho, low, high in here[["rho", "low", "high"]].to_numpy():
                axis.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.7)
                axis.plot(rho, y, marker, color=colour, markersize=4, label=title if row == 0 else None)
    axis.set_yticks(range(len(choices)), [choice_label(c).replace("\n", " ") for c in choices])
    axis.invert_yaxis()
    axis.set_xlim(-1.05, 1.05)
    count, images = (int(shown[column].max()) for column in ("explainers", "images"))
    axis.set_xlabel(f"rank correlation ρ with AOPC {taken}\n({count} explainers; n ≤ {images} images)")
    legend_below(figure, axis, handletextpad=0.1)
    return figure
