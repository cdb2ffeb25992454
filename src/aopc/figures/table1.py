"""Table I: mean file size of the heatmap images, and their entropy."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from aopc.figures.style import PAGE, house_style, style_of

Metrics = Mapping[str, Mapping[str, Mapping[str, float | int]]]

MEASURES = {"png_kb": "PNG, KB", "jpeg_kb": "JPEG, KB", "entropy": "Entropy, bit"}


def table1_rows(metrics: Metrics, explainers: list[str]) -> list[list[str]]:
    """The cells: measure, data set, then mean and half the 95 % interval for each explainer."""
    rows = []
    for measure, title in MEASURES.items():
        for data_set, by_explainer in metrics.items():
            cells = []
            for explainer in explainers:
                found = by_explainer[explainer]
                cell = _cell(*(found[f"{measure}{end}"] for end in ("", "_low", "_high")))
                drawn = found["images"] - found["zero_heatmaps"]
                # Heatmaps of nothing are left out of the mean.
                cells.append(cell if drawn == found["images"] else f"{cell}\n(n = {drawn})")
            images = by_explainer[explainers[0]]["images"]
            rows.append([title, f"{data_set}\n(n = {images})", *cells])
    return rows


def _cell(mean: float | None, low: float | None, high: float | None) -> str:
    """– for what is not known, as the interval of a single image."""
    if mean is None:
        return "–"
    return f"{mean:.2f}" if low is None or high is None else f"{mean:.2f} ± {(high - low) / 2:.2f}"


def draw_table1(metrics: Metrics, explainers: list[str]) -> Figure:
    """The table as a figure; ± is half the width of the 95 % interval of the mean over images."""
    rows = table1_rows(metrics, explainers)
    labels = [style_of(e, explainers)[0].replace(" ", "\n", 1) for e in explainers]
    labels = [label.replace("Deconvolution", "Deconv.") for label in labels]
    previous = ""
    for row in rows:
        row[0], previous = ("" if row[0] == previous else row[0]), row[0]
    with house_style():
        figure = Figure(figsize=(PAGE, 0.45 + 0.27 * len(rows)))
        axis = figure.subplots()
        axis.set_axis_off()
        first = [0.095, 0.115]
        each = (1 - sum(first)) / len(explainers)
        table = axis.table(
            cellText=rows,
            colLabels=["", "data set", *labels],
            colWidths=first + [each] * len(explainers),
            cellLoc="center",
            bbox=Bbox.from_bounds(0, 0, 1, 1),
        )
        table.auto_set_font_size(False)
        table.set_fontsize(6.2)
        heights = 2.0 / (len(rows) + 2.0)
        sets = len(metrics)
        for (number, _), cell in table.get_celld().items():
            cell.set_linewidth(0.6)
            cell.visible_edges = "B" if number % sets == 0 else ""
            cell.set_edgecolor("#333333")
            cell.set_height(heights if number == 0 else heights / 2)
            cell.set_text_props(weight="bold" if number == 0 else "normal")
    return figure
