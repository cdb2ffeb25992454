"""Figure 4: AOPC relative to random order against the number of perturbation steps."""

import pandas as pd
from matplotlib.figure import Figure

from aopc.figures.style import COLUMN, PAGE, Table, Titles, house_style, legend_below, show_curve, span, style_of, tiles


@house_style()
def draw_figure4(table: Table, panel_titles: Titles) -> Figure:
    """One panel a data set, one line a heatmap, bands for the pointwise 95 % intervals.

    The table is that of :meth:`aopc.measures.summary.Summary.relative_table`.
    """
    whole = pd.DataFrame(table)
    explainers = list(whole["explainer"].unique())
    several, across = len(panel_titles) > 1, min(len(panel_titles), 4)
    rows = -(-len(panel_titles) // across)
    figure = Figure(figsize=(PAGE, 2.35 * rows + 0.55) if several else (1.4 * COLUMN, 3.6))
    axes = tiles(figure, len(panel_titles), across)
    for axis, (name, title) in zip(axes, panel_titles.items(), strict=True):
        panel = whole[whole["data_set"] == name]
        axis.axhline(0, color="#666666", linewidth=1.0, dashes=(1.2, 1.2))
        for explainer in explainers:
            curve = panel[panel["explainer"] == explainer]
            if not curve.empty:
                interval = [curve[c].to_numpy() for c in ("relative_aopc", "low", "high")]
                show_curve(axis, curve["step"].to_numpy(), interval, style_of(explainer, explainers), alpha=0.13)
        axis.set_title(f"{title} (n = {span(panel['images'])})")
        axis.set_xlabel("perturbation steps")
        axis.set_xlim(0, whole["step"].max())
        axis.margins(y=0.04)
    for axis in axes[::across]:
        axis.set_ylabel("AOPC relative to random\n(class score before softmax)")
    legend_below(figure, axes[0], ncols=4 if several else 3, handlelength=2.4)
    return figure
