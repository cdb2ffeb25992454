"""Figure 2: the three methods side by side: rule, heatmap, relation to f(x), applicability, example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, house_style, show_heatmap, show_image, style_of
from aopc.measures.statistics.bootstrap import bootstrap_mean


@dataclass(frozen=True)
class Method:
    """A column of the figure."""

    explainer: str
    rule: str
    heatmap: str
    applicability: str


METHODS = (
    Method(
        "sensitivity-l2",
        r"$R_i = \dfrac{\partial f}{\partial x_i}$",
        r"$h_p = \Vert (R_{p,c})_c \Vert_q$" "\nno sign",
        "any differentiable network;\nlocal: the slope of f,\nnot what f is made of",
    ),
    Method(
        "deconvolution-l2",
        r"$R_i = \max\left(0,\; \sum_j w_{ij} R_j\right)$",
        r"$h_p = \Vert (R_{p,c})_c \Vert_q$" "\nno sign",
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


def relation_to_score(
    table: Mapping[str, Sequence[Any]], explainer: str, titles: Mapping[str, str], seed: int
) -> str:
    """Σ_p h_p / f(x) as measured, with its interval; in words for methods without such a relation."""
    columns = {name: np.asarray(values) for name, values in table.items()}
    rows = columns["explainer"] == explainer if len(columns.get("explainer", ())) else []
    if not np.any(rows):
        return "none: $\\sum_p h_p \\neq f(x)$"
    lines = []
    for name in dict.fromkeys(columns["data_set"][rows].tolist()):
        values = columns["sum_over_score"][rows & (columns["data_set"] == name)]
        mean, low, high = bootstrap_mean(values, seed=seed).numbers
        lines.append(f"{titles[name]} (n = {len(values)}): {mean:.2f} [{low:.2f}, {high:.2f}]")
    return "\n".join([r"claimed $\sum_p h_p = f(x)$;", r"measured $\sum_p h_p / f(x)$:", *lines])


def draw_figure2(
    table: Mapping[str, Sequence[Any]],
    image: NDArray[np.uint8],
    heatmaps: Mapping[str, NDArray[np.floating]],
    titles: Mapping[str, str],
    seed: int,
) -> Figure:
    """A table of the methods with an example.

    Parameters
    ----------
    table
        Σ_p h_p / f(x), one row a data set × LRP explainer × image.
    image
        (H, W, 3) or (H, W) uint8.
    heatmaps
        Explainer → (H, W): of that image.
    titles
        Data set → title.
    seed
        Of the bootstrap.
    """
    methods = [m for m in METHODS if m.explainer in heatmaps]
    rows = ("rule", "heatmap", "relation\nto f(x)", "applies to", "example")
    relations = [relation_to_score(table, m.explainer, titles, seed) for m in methods]
    tall = 0.2 + 0.135 * max(r.count("\n") + 1 for r in relations)
    heights = [0.62, 0.45, tall, 0.62, 1.6]
    with house_style():
        figure = Figure(figsize=(PAGE, sum(heights) + 0.45))
        axes = figure.subplots(
            len(rows),
            1 + len(methods),
            squeeze=False,
            gridspec_kw={"height_ratios": heights, "width_ratios": [0.42] + [1] * len(methods)},
        )
        for row, label in enumerate(rows):
            axes[row, 0].axis("off")
            if row < 4:
                axes[row, 0].text(0, 0.5, label, va="center", weight="bold")
        show_image(axes[4, 0], image)
        axes[4, 0].set_title("example", loc="left", weight="bold")
        for column, (method, relation) in enumerate(zip(methods, relations, strict=True), start=1):
            label = style_of(method.explainer, [])[0]
            axes[0, column].set_title(label, weight="bold", size=9)
            texts = (method.rule, method.heatmap, relation, method.applicability)
            for row, text in enumerate(texts):
                axes[row, column].axis("off")
                axes[row, column].text(
                    0.5, 0.5, text, ha="center", va="center", size=9 if row == 0 else 7
                )
            show_heatmap(axes[4, column], heatmaps[method.explainer])
    return figure
