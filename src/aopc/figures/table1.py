"""Table I: mean file size of the heatmap images, and their entropy."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from aopc.figures.style import PAGE, house_style, style_of

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]

MEASURES = {"png_kb": "PNG, KB", "jpeg_kb": "JPEG, KB", "entropy": "Entropy, bit"}


def table1_rows(metrics: Metrics, explainers: list[str]) -> list[list[str]]:
    """The cells: measure, data set, then mean and half the 95 % interval for each explainer.

    A measure stands in the first of its rows only.
    """
    rows = []
    for measure, title in MEASURES.items():
        for i, (data_set, found) in enumerate(metrics.items()):
            first = f"{data_set}\n(n = {found[explainers[0]]['images']})"
            rows.append(["" if i else title, first, *(_cell(found[e], measure) for e in explainers)])
    return rows


def _cell(found: Mapping[str, Any], measure: str) -> str:
    """– for what is not known, as the interval of a single image."""
    mean, low, high = (found[f"{measure}{end}"] for end in ("", "_low", "_high"))
    text = "–" if mean is None else f"{mean:.2f}"
    if None not in (mean, low, high):
        text += f" ± {(high - low) / 2:.2f}"
    # Heatmaps of nothing are left out of the mean.
    return f"{text}\n(n = {found['images'] - found['zero_heatmaps']})" if found["zero_heatmaps"] else text


@house_style()
def draw_table1(metrics: Metrics, explainers: list[str]) -> Figure:
    """The table as a figure; ± is half the width of the 95 % interval of the mean over images."""
    rows, sets = table1_rows(metrics, explainers), len(metrics)
    labels = [style_of(e, explainers)[0].replace(" ", "\n", 1) for e in explainers]
    figure = Figure(figsize=(PAGE, 0.45 + 0.27 * len(rows)))
    axis = figure.subplots()
    axis.set_axis_off()
    first = [0.095, 0.115]
    table = axis.table(
        cellText=rows,
        colLabels=["", "data set", *(label.replace("Deconvolution", "Deconv.") for label in labels)],
        colWidths=first + [(1 - sum(first)) / len(explainers)] * len(explainers),
        cellLoc="center",
        bbox=Bbox.from_bounds(0, 0, 1, 1),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(6.2)
    heights = 2.0 / (len(rows) + 2.0)
    for (number, _), cell in table.get_celld().items():
        cell.set_linewidth(0.6)
        cell.visible_edges = "B" if number % sets == 0 else ""
        cell.set_edgecolor("#333333")
        cell.set_height(heights if number == 0 else heights / 2)
        cell.set_text_props(weight="bold" if number == 0 else "normal")
    return figure
