"""One house style: the same method in the same colour everywhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.base.files import atomic

#: Width of a text column and of a page, in inches (IEEE Transactions).
COLUMN, PAGE = 3.5, 7.16

#: Of relevance with a sign, red for the class and blue against it, white at zero; and of heatmaps
#: without one.
DIVERGING, SEQUENTIAL = "bwr", "magma"
#: Heatmaps are drawn up to this quantile of their absolute values, so that one pixel does not decide.
DRAWN_UP_TO = 0.995
#: For the web page and, as PDF, for print.
DPI = 200

#: Explainer → (label, colour, dashes). Colours of one hue family a method, told apart without
#: colour vision by lightness and dashes (Okabe, Ito 2008).
_SOLID, _DASHED, _DOTTED = (), (4, 1.6), (1.2, 1.2)
STYLES: dict[str, tuple[str, str, tuple[float, ...]]] = {
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
#: Data sets, in the order of their panels.
PANEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PANEL_MARKERS = ("o", "s", "^", "D", "v", "P")
_DEALT = ("#CC79A7", "#7A4FA3", "#4D4D4D", "#A6761D", "#1B9E77", "#333399")


def style_of(explainer: str, others: Sequence[str]) -> tuple[str, str, tuple[float, ...]]:
    """Label, colour and dashes of an explainer; ours have fixed ones, users' are dealt in turn."""
    if explainer in STYLES:
        return STYLES[explainer]
    users = [e for e in others if e not in STYLES]
    return explainer, _DEALT[users.index(explainer) % len(_DEALT)], _SOLID


#: Choice → a short label.
_CHOICES = {
    "paper": "paper",
    "probability": "probability",
    "abpc": "ABPC",
    "dirichlet": "Dirichlet",
    "mean": "mean colour",
    "blur": "blur",
    "dropout": "dropout",
    "spatial": "minus own\nclustering",
    "relevance on the object": "mass on\nobject",
    "pointing game": "pointing\ngame",
}


def choice_label(choice: str) -> str:
    """What a choice is called in a figure; a user's removal, by its own name."""
    return _CHOICES.get(choice, choice)


def colour_range(heatmap: NDArray[np.floating]) -> tuple[float, float, str]:
    """The values (H, W) drawn in the first and in the last colour, and the colour map's name.

    Symmetric around zero and diverging where the heatmap has negative values, else from zero.
    """
    values = np.nan_to_num(np.asarray(heatmap, dtype=np.float64))
    limit = float(np.quantile(np.abs(values), DRAWN_UP_TO)) or float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    return (-limit, limit, DIVERGING) if signed else (0.0, limit, SEQUENTIAL)


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


def take_legend(axis: Axes) -> tuple[list[Any], list[str]]:
    """The entries of an axis' legend, which is removed: it goes below the figure."""
    handles, labels = axis.get_legend_handles_labels()
    legend = axis.get_legend()
    if legend is not None:
        legend.remove()
    return list(handles), list(labels)


def bare(axis: Axes) -> None:
    """No ticks and no grid."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)


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
    }
    with mpl.rc_context(), sns.axes_style("whitegrid", {"grid.color": "#e6e6e6"}):
        mpl.rcParams.update(settings)
        yield


def save_figure(figure: Figure, stem: Path) -> None:
    """Write ``stem``.png (for the page) and ``stem``.pdf; the same figure gives the same bytes."""
    undated: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    for suffix, metadata in undated.items():
        with atomic(stem.with_name(f"{stem.name}.{suffix}")) as path:
            figure.savefig(path, dpi=DPI, format=suffix, metadata=metadata)
