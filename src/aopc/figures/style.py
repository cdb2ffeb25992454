"""One house style: the same method in the same colour everywhere."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from aopc.base.files import atomic

#: Column → values, all of one length.
Table = Mapping[str, Sequence[Any]]
#: Data set → title, in the order of the panels.
Titles = Mapping[str, str]
#: Label, colour and dashes.
Style = tuple[str, str, tuple[float, ...]]

#: Width of a text column and of a page, in inches (IEEE Transactions).
COLUMN, PAGE = 3.5, 7.16

#: Of relevance with a sign, red for the class and blue against it, white at zero; and of heatmaps without one.
DIVERGING, SEQUENTIAL = "bwr", "magma"
#: Heatmaps are drawn up to this quantile of their absolute values, so that one pixel does not decide.
DRAWN_UP_TO = 0.995
#: For the web page and, as PDF, for print.
DPI = 200

#: Of a note above a figure: its colour, and letters an inch.
NOTE_COLOUR, NOTE_LETTERS = "#B00020", 17

#: Colours of one hue family a method, told apart without colour vision by lightness and dashes (Okabe, Ito 2008).
_SOLID, _DASHED, _DOTTED = (), (4, 1.6), (1.2, 1.2)
STYLES: dict[str, Style] = {
    "sensitivity-l2": ("Sensitivity ℓ2", "#0072B2", _SOLID),
    "sensitivity-linf": ("Sensitivity ℓ∞", "#56B4E9", _DASHED),
    "deconvolution-l2": ("Deconvolution ℓ2", "#009E73", _SOLID),
    "deconvolution-linf": ("Deconvolution ℓ∞", "#66C2A5", _DASHED),
    "lrp-epsilon-0.01": ("LRP ε = 0.01", "#E69F00", _DASHED),
    "lrp-epsilon-100": ("LRP ε = 100", "#B8860B", _DOTTED),
    "lrp-alpha2-beta1": ("LRP α = 2, β = −1", "#D55E00", _SOLID),
    "lrp-alpha2-beta1-lrn-identity": ("LRP α = 2, LRN passed by", "#CC79A7", _DASHED),
    "centre-first": ("Centre first", "#4D4D4D", _DASHED),
    "image-edges": ("Edges of the image", "#7A4FA3", _DOTTED),
    "random": ("Random", "#666666", _DOTTED),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Colour and marker of data sets, in the order of the panels.
PANEL_LOOKS = tuple(zip(_COLOURS, "os^DvP", strict=True))
_DEALT = ("#CC79A7", "#7A4FA3", "#4D4D4D", "#A6761D", "#1B9E77", "#333399")


def style_of(explainer: str, others: Sequence[str]) -> Style:
    """Of an explainer; ours have fixed ones, users' are dealt in turn."""
    if explainer in STYLES:
        return STYLES[explainer]
    users = [e for e in others if e not in STYLES]
    # matplotlib leaves out of legends what begins with "_".
    return (
        f" {explainer}" if explainer.startswith("_") else explainer,
        _DEALT[users.index(explainer) % len(_DEALT)],
        _SOLID,
    )


#: Choice → a short label, where its own name is none.
_CHOICES = {
    "abpc": "ABPC",
    "dirichlet": "Dirichlet",
    "mean": "mean colour",
    "spatial": "minus own\nclustering",
    "relevance on the object": "mass on\nobject",
    "pointing game": "pointing\ngame",
}


def choice_label(choice: str) -> str:
    """What a choice is called in a figure; a user's removal, by its own name."""
    return _CHOICES.get(choice, choice)


def span(counts: Iterable[int]) -> str:
    """``12``, or ``9–12`` where they differ; ``0`` of none."""
    known = list(counts) or [0]
    return "–".join(map(str, sorted({min(known), max(known)})))


def colour_range(heatmap: NDArray[np.floating]) -> tuple[float, float, str]:
    """The values (H, W) drawn in the first and in the last colour, and the colour map's name.

    Symmetric around zero and diverging where the heatmap has negative values, else from zero.
    """
    values = np.nan_to_num(np.asarray(heatmap, dtype=np.float64))
    limit = float(np.quantile(np.abs(values), DRAWN_UP_TO)) or float(np.abs(values).max()) or 1.0
    return (-limit, limit, DIVERGING) if (values < 0).any() else (0.0, limit, SEQUENTIAL)


def show_heatmap(axis: Axes, heatmap: NDArray[np.floating]) -> None:
    """A heatmap as a picture: diverging around zero where it has negative values, else sequential."""
    low, high, colours = colour_range(heatmap)
    values = np.nan_to_num(np.asarray(heatmap, dtype=np.float64))
    axis.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    bare(axis)


def show_image(axis: Axes, image: NDArray[np.uint8]) -> None:
    """An image, RGB or grey."""
    axis.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
    bare(axis)


def show_row(
    figure: FigureBase, image: NDArray[np.uint8], heatmaps: NDArray[np.floating], titles: Sequence[str]
) -> None:
    """An image and its heatmaps (K, H, W) side by side."""
    first, *others = figure.subplots(1, 1 + len(heatmaps))
    show_image(first, image)
    first.set_title("image")
    for axis, heatmap, title in zip(others, heatmaps, titles, strict=True):
        show_heatmap(axis, heatmap)
        axis.set_title(title)


def show_grid(
    figure: FigureBase,
    images: NDArray[np.uint8],
    heatmaps: Mapping[str, NDArray[np.floating]],
    titles: Sequence[str],
    size: float,
) -> None:
    """A column an image with its title, and below them a row an explainer: its heatmaps (K, H, W)."""
    axes = figure.subplots(1 + len(heatmaps), len(images), squeeze=False)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        show_image(axes[0, i], image)
        axes[0, i].set_title(title, size=size)
        for axis, maps in zip(axes[1:, i], heatmaps.values(), strict=True):
            show_heatmap(axis, maps[i])
    labels = ["image", *(style_of(e, list(heatmaps))[0] for e in heatmaps)]
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label.replace(" ", "\n", 1), size=size)


def show_curve(
    axis: Axes, x: NDArray[Any], interval: Sequence[NDArray[Any]], style: Style, *, alpha: float, **line: Any
) -> list[Line2D]:
    """A mean as a line and its interval (mean, low, high) as a band."""
    label, colour, dashes = style
    mean, low, high = interval
    axis.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)
    return axis.plot(x, mean, color=colour, label=label, dashes=dashes or (None, None), **line)


def show_boxes(
    axis: Axes, rows: pd.DataFrame, x: str, y: str, order: Sequence[str], explainers: Sequence[str], **look: float
) -> None:
    """Box plots of the column ``y``: at each value of ``x``, in this order, one an explainer."""
    labels, colours, _ = zip(*(style_of(e, explainers) for e in explainers), strict=True)
    sns.boxplot(
        x=rows[x].to_numpy(),
        y=rows[y].to_numpy(),
        hue=rows["explainer"].map(dict(zip(explainers, labels, strict=True))).to_numpy(),
        order=order,
        hue_order=labels,
        palette=dict(zip(labels, colours, strict=True)),
        ax=axis,
        **look,
    )


def tiles(figure: FigureBase, count: int, across: int, sharey: bool = False) -> NDArray[Any]:
    """So many axes, in rows of ``across``."""
    axes = figure.subplots(-(-count // across), across, squeeze=False, sharey=sharey).ravel()
    for axis in axes[count:]:
        axis.remove()
    return axes[:count]


def legend_below(figure: FigureBase, axis: Axes, ncols: int = 4, **look: Any) -> None:
    """The legend of an axis, below the figure instead of in the axis."""
    handles, labels = axis.get_legend_handles_labels()
    if (own := axis.get_legend()) is not None:
        own.remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False, **look)


def bare(axis: Axes) -> None:
    """No ticks and no grid."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)


#: Names are users', and may hold "$": formulas are marked as such (``parse_math=True``).
_PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}


@contextmanager
def house_style() -> Iterator[None]:
    """Fonts, lines and grid of every figure, readable at column width."""
    settings: dict[Any, Any] = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "legend.fontsize": 7.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "lines.linewidth": 1.3,
        "font.family": "DejaVu Sans",
        "pdf.fonttype": 42,
        "svg.hashsalt": "aopc",
        "figure.constrained_layout.use": True,
        **_PLAIN_TEXT,
    }
    with sns.axes_style("whitegrid", {"grid.color": "#e6e6e6"}), mpl.rc_context(settings):
        yield


def save_figure(figure: Figure, stem: Path, note: str = "") -> None:
    """Write ``stem``.png (for the page) and ``stem``.pdf; the same figure gives the same bytes. A note stands above."""
    if note:
        lines = textwrap.wrap(note, int(figure.get_figwidth() * NOTE_LETTERS))
        title = "\n".join(filter(None, [*lines, figure.get_suptitle()]))
        figure.suptitle(title, size=7, weight="bold", color=NOTE_COLOUR)
    undated: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    for suffix, metadata in undated.items():
        with atomic(stem.with_name(f"{stem.name}.{suffix}")) as path, mpl.rc_context(_PLAIN_TEXT):
            figure.savefig(path, dpi=DPI, format=suffix, metadata=metadata)
