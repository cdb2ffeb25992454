"""One house style: the same method in the same colour everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from aopc.explainers import EXPLAINERS
from aopc.tables import atomic

#: Width of a text column and of a page, in inches (IEEE Transactions).
COLUMN, PAGE = 3.5, 7.16

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
    "random": ("Random", "#666666", _DOTTED),
}
_FURTHER = ("#CC79A7", "#7A4FA3", "#4D4D4D", "#A6761D", "#1B9E77", "#333399")


def style_of(explainer: str, others: list[str]) -> tuple[str, str, tuple[float, ...]]:
    """Label, colour and dashes of an explainer; ours have fixed ones, users' are dealt in turn."""
    if explainer in STYLES:
        return STYLES[explainer]
    users = [e for e in others if e not in EXPLAINERS]
    return explainer, _FURTHER[users.index(explainer) % len(_FURTHER)], _SOLID


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
    """Write ``stem``.png (300 dpi) and ``stem``.pdf; the same figure gives the same bytes."""
    undated: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    for suffix, metadata in undated.items():
        with atomic(stem.with_name(f"{stem.name}.{suffix}")) as path:
            figure.savefig(path, dpi=300, format=suffix, metadata=metadata)
