"""What the claims are read from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.measures.statistics.hypotheses import Reading, mean_reading
from aopc.measures.summary import Summary
from aopc.perturbation.curves import Curves

#: The paper's name of a data set → as it is printed, in the paper's order.
PAPER_DATA: dict[str, str] = {
    "sun397": "SUN397",
    "ilsvrc2012": "ILSVRC2012",
    "places205": "MIT Places",
}


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
    """AOPC (N, C) by the heatmaps' and in random order, and which of M test images are right (M, C),
    at C points of a training (Figure 7).
    """

    title: str
    heatmap: NDArray[np.float64]
    random: NDArray[np.float64]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """What a profile measured.

    Attributes
    ----------
    panels
        The panels that stand for the paper's data sets, by the paper's name for them.
    titles
        What they are called here, by the same.
    controls
        By the same: condition → explainer → curves, on some of the panel's images.
    conservation
        By the same: LRP explainer → (N,): Σ_p h_p / f(x) of each image.
    trainings
        By data set.
    specificity
        Figure 3: method → (N,): similarity of each heatmap of the network without pooling to those of
        the same class; None where there are no digits.
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

    def some_panels(self, *wanted: str) -> dict[str, Summary]:
        """The panels in the paper's order, or those ``wanted``.

        Raises
        ------
        CannotReadError
            If there is none.
        """
        order = [p for p in PAPER_DATA if p in self.panels and (not wanted or p in wanted)]
        if not order:
            names = " or ".join(PAPER_DATA[w] for w in wanted or PAPER_DATA)
            raise CannotReadError(f"no panel of this profile stands for {names}")
        return {name: self.panels[name] for name in order}

    def lead(self, panel: Summary, first: str, second: str) -> Reading:
        """AOPC of the first is above that of the second, on the same images under the same noise."""
        require(panel, first, second)
        values = panel.aopc_curves(first)[:, -1] - panel.aopc_curves(second)[:, -1]
        return mean_reading(f"{first} minus {second}, {self.name(panel)}", values, seed=self.seed)

    def name(self, panel: Summary) -> str:
        return next(self.titles[k] for k, p in self.panels.items() if p is panel)


def require(panel: Summary, *explainers: str) -> None:
    """Raise CannotReadError unless the panel has curves of all these explainers."""
    missing = [e for e in explainers if e not in panel.curves]
    if missing:
        raise CannotReadError(f"this profile has no heatmaps of {' and '.join(missing)}")
