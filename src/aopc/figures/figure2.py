"""Figure 2: the three methods side by side: rule, heatmap, relation to f(x), applicability, example."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, Table, Titles, house_style, show_heatmap, show_image, style_of
from aopc.measures.statistics.bootstrap import bootstrap_mean


@dataclass(frozen=True)
class Method:
    """A column of the figure."""

    explainer: str
    rule: str
    heatmap: str
    applicability: str


_NORM = r"$h_p = \Vert (R_{p,c})_c \Vert_q$" "\nno sign"
METHODS = (
    Method(
        "sensitivity-l2",
        r"$R_i = \dfrac{\partial f}{\partial x_i}$",
        _NORM,
        "any differentiable network;\nlocal: the slope of f,\nnot what f is made of",
    ),
    Method(
        "deconvolution-l2",
        r"$R_i = \max\left(0,\; \sum_j w_{ij} R_j\right)$",
        _NORM,
        "convolutions, ReLU, max-pooling;\nspecific to the image only by\nthe locations of the maxima",
    ),
    Method(
        "lrp-alpha2-beta1",
        r"$R_i = \sum_j \left(\alpha \dfrac{z_{ij}^+}{\sum_{i'} z_{i'j}^+}"
        r" + \beta \dfrac{z_{ij}^-}{\sum_{i'} z_{i'j}^-}\right) R_j$",
        r"$h_p = \sum_c R_{p,c}$" "\nwith a sign",
        "layered networks with rules for\neach kind of layer;\nglobal: decomposes f itself",
    ),
)


def relation_to_score(table: Table, explainer: str, titles: Titles, seed: int) -> str:
    """Σ_p h_p / f(x) as measured, with its interval; in words for methods without such a relation."""
    whole = pd.DataFrame(table, columns=["data_set", "explainer", "sum_over_score"])
    rows = whole[whole["explainer"] == explainer]
    if rows.empty:
        return "none: $\\sum_p h_p \\neq f(x)$"
    lines = [r"claimed $\sum_p h_p = f(x)$;", r"measured $\sum_p h_p / f(x)$:"]
    for name in rows["data_set"].unique():
        values = rows["sum_over_score"][rows["data_set"] == name]
        mean, low, high = bootstrap_mean(values, seed=seed).numbers
        title = titles[name].replace("$", r"\$")
        lines.append(f"{title} (n = {len(values)}): {mean:.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines)


@house_style()
def draw_figure2(
    table: Table,
    image: NDArray[np.uint8],
    heatmaps: Mapping[str, NDArray[np.floating]],
    titles: Titles,
    seed: int,
) -> Figure:
    """A table of the methods with an example: an image, (H, W) or (H, W, 3) uint8, and heatmaps of it, (H, W).

    The table of numbers has Σ_p h_p / f(x), one row a data set × LRP explainer × image; the seed is the bootstrap's.
    """
    methods = [m for m in METHODS if m.explainer in heatmaps]
    relations = [relation_to_score(table, m.explainer, titles, seed) for m in methods]
    tall = 0.2 + 0.135 * max(r.count("\n") + 1 for r in relations)
    heights, widths = [0.62, 0.45, tall, 0.62, 1.6], [0.42] + [1] * len(methods)
    figure = Figure(figsize=(PAGE, sum(heights) + 0.45))
    axes = figure.subplots(len(heights), len(widths), squeeze=False, height_ratios=heights, width_ratios=widths)
    for axis in (*axes[:4].flat, axes[4, 0]):
        axis.axis("off")
    for axis, label in zip(axes[:4, 0], ("rule", "heatmap", "relation\nto f(x)", "applies to"), strict=True):
        axis.text(0, 0.5, label, va="center", weight="bold")
    show_image(axes[4, 0], image)
    axes[4, 0].set_title("example", loc="left", weight="bold")
    for column, method, relation in zip(axes[:, 1:].T, methods, relations, strict=True):
        column[0].set_title(style_of(method.explainer, [])[0], weight="bold", size=9)
        texts = (method.rule, method.heatmap, relation, method.applicability)
        for axis, text, size in zip(column[:4], texts, (9, 7, 7, 7), strict=True):
            axis.text(0.5, 0.5, text, ha="center", va="center", size=size, parse_math=True)
        show_heatmap(column[4], heatmaps[method.explainer])
    return figure
