"""What the claims are read from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aopc.measures.statistics.hypotheses import Reading, Verdict, mean_reading
from aopc.measures.summary import Summary
from aopc.perturbation.curves import Curves

#: The paper's name of a data set → as it is printed, in the paper's order.
PAPER_DATA: dict[str, str] = {"sun397": "SUN397", "ilsvrc2012": "ILSVRC2012", "places205": "MIT Places"}
#: Verdict on a single comparison → how it comes out.
OUTCOMES: dict[Verdict, str] = {
    "replicated": "as claimed",
    "not replicated": "the other way",
    "undecided": "undecided",
}
#: Measure of file size → format.
FORMATS = {"png_kb": "PNG", "jpeg_kb": "JPEG"}


class CannotReadError(Exception):
    """Why a claim, or a part of it, has no reading on this profile."""


@dataclass
class Found:
    """What a claim was read from, what had to be left out and why, and what else there is to say."""

    readings: list[Reading] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    note: str = ""

    def add(self, read: Callable[..., list[Reading]], *arguments: Any) -> None:
        """The readings of a part, or why there are none."""
        try:
            self.readings += read(*arguments)
        except CannotReadError as reason:
            self.left_out.append(str(reason))


@dataclass(frozen=True)
class Training:
    """AOPC (N, C) by the heatmaps' and in random order, and which of M test images are right (M, C), at C points of a
    training, after so many ``iterations`` (Figure 7).
    """

    title: str
    heatmap: NDArray[np.float64]
    random: NDArray[np.float64]
    correct: NDArray[np.bool_]
    iterations: Sequence[int] = ()


@dataclass(frozen=True)
class Evidence:
    """What a profile measured.

    Attributes
    ----------
    panels, titles
        The panels that stand for the paper's data sets, by the paper's name for them, and what they are called here.
    controls, conservation
        By the same: condition → explainer → curves, on some of the panel's images; LRP explainer → (N,): Σ_p h_p /
        f(x) of each image.
    trainings
        By data set.
    specificity
        Figure 3: method → (N,): similarity of each heatmap of the network without pooling to those of the same class;
        None where there are no digits.
    seed
        Of the bootstrap.
    """

    panels: Mapping[str, Summary]
    titles: Mapping[str, str]
    controls: Mapping[str, Mapping[str, Mapping[str, Curves]]]
    conservation: Mapping[str, Mapping[str, NDArray[np.float64]]]
    trainings: Mapping[str, Training]
    specificity: Mapping[str, NDArray[np.float64]] | None
    seed: int

    def some_panels(self, *wanted: str) -> "list[OnPanel]":
        """The panels in the paper's order, or those ``wanted``; CannotReadError if there is none."""
        names = wanted or tuple(PAPER_DATA)
        found = [OnPanel(self, p) for p in PAPER_DATA if p in self.panels and p in names]
        if not found:
            raise CannotReadError(f"no panel of this profile stands for {' or '.join(PAPER_DATA[n] for n in names)}")
        return found


@dataclass(frozen=True)
class OnPanel:
    """The evidence on the panel that stands for one of the paper's data sets."""

    evidence: Evidence
    data_set: str

    @property
    def summary(self) -> Summary:
        return self.evidence.panels[self.data_set]

    @property
    def title(self) -> str:
        return self.evidence.titles[self.data_set]

    def require(self, *explainers: str) -> None:
        """Raise CannotReadError unless there are curves of all these explainers."""
        missing = [e for e in explainers if e not in self.summary.curves]
        if missing:
            raise CannotReadError(f"this profile has no heatmaps of {' and '.join(missing)}")

    def ahead(self, first: str, second: str) -> NDArray[np.float64]:
        """By how much AOPC of the first is above that of the second after each step, (N, L + 1), on the same images
        under the same noise; CannotReadError if there are no curves of one.
        """
        self.require(first, second)
        return self.summary.aopc_curves(first) - self.summary.aopc_curves(second)

    def reading(
        self,
        what: str,
        values: ArrayLike,
        bound: float = 0.0,
        side: Literal["above", "below"] = "above",
        scale: float = 0.0,
    ) -> Reading:
        """Of one value an image (:func:`mean_reading`)."""
        what = f"{what}, {self.title}"
        return mean_reading(what, values, seed=self.evidence.seed, bound=bound, side=side, scale=scale)

    def lead(self, first: str, second: str) -> Reading:
        """AOPC of the first is above that of the second after all steps."""
        values = self.ahead(first, second)[:, -1]
        return self.reading(f"{first} minus {second}", values, scale=self.summary.scale(first, second))

    def complexity(self, measure: str, *explainers: str) -> list[NDArray[np.float64]]:
        """One measure of several explainers' heatmaps, image by image; those of nothing are left out.

        CannotReadError if one was not measured on every image of the curves.
        """
        table, found = self.summary.complexity, []
        self.require(*explainers)
        for explainer in explainers:
            # By name: a table's rows may come in any order, and pairs are of one image.
            place = {table["image"][row]: row for row in np.flatnonzero(table["explainer"] == explainer)}
            if missing := set(self.summary.images) - set(place):
                raise CannotReadError(f"{explainer}'s heatmap of {min(missing)} of {self.title} was not measured")
            rows = [place[name] for name in self.summary.images]
            values = table[measure][rows].astype(np.float64)
            found.append(np.where(table["zero"][rows].astype(bool), np.nan, values))
        whole = np.isfinite(found).all(axis=0)
        if not whole.any():
            raise CannotReadError(f"on every image of {self.title} one of the heatmaps is zero everywhere")
        return [values[whole] for values in found]


def with_interval(estimate: float, low: float, high: float) -> str:
    """As a reader wants it; – for what is not known.

    Examples
    --------
    >>> with_interval(-0.5, -1, float("nan"))
    '−0.50 [−1.00, –]'
    """
    said = ("–" if value != value else f"{value:.2f}".replace("-", "−") for value in (estimate, low, high))
    return "{} [{}, {}]".format(*said)
