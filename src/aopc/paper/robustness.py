"""How the comparison of explainers depends on choices that the paper made one way.

All on the same images of one panel: those that the controls were run on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.measures.abpc import abpc_per_image
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.statistics.correlation import RankCorrelation, rank_correlation
from aopc.measures.statistics.hypotheses import (
    Reading,
    Verdict,
    conjunction,
    mean_reading,
    verdict_of,
)
from aopc.measures.summary import Summary
from aopc.perturbation.curves import Curves
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import DROPOUT, LERF, MAIN, SPATIAL

#: The paper's own: MoRF, uniform noise, the score before the softmax, dropout off.
PAPER = "paper"
PROBABILITY = "probability"
ABPC = "abpc"
MASS = "relevance on the object"
POINTING = "pointing game"

#: What each choice is, in words that follow "where".
WORDS = {
    PAPER: "AOPC is as the paper takes it",
    PROBABILITY: "f is the softmax probability",
    ABPC: "regions are removed least relevant first, too (ABPC)",
    DROPOUT: "dropout is active",
    "dirichlet": "regions are replaced by Dirichlet noise",
    "mean": "regions are replaced by the image's mean colour",
    "blur": "regions are blurred",
    SPATIAL: "AOPC is counted from that of the same heatmap at random places",
    MASS: "heatmaps are judged by how much relevance lies on the object",
    POINTING: "heatmaps are judged by whether their maximum lies on the object",
}

#: Measured in units of the class score, as AOPC is: leads under them can be compared with it.
OTHER_UNITS = (PROBABILITY, MASS, POINTING)

#: "LRP" and its competitors in the paper's main comparison.
LRP = "lrp-alpha2-beta1"
#: Further explainers that do not know the network.
BLIND = ("centre-first", "image-edges")
COMPETITORS = ("sensitivity-l2", "sensitivity-linf", "deconvolution-l2", "deconvolution-linf")


@dataclass(frozen=True)
class Robustness:
    """The values of every explainer on every image under each choice.

    Attributes
    ----------
    panel
        Name of the panel.
    images
        N names.
    values
        Choice → explainer → (N,). Larger is better.
    seed
        Of the bootstrap.
    """

    panel: str
    images: tuple[str, ...]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    seed: int

    def means(self, explainers: Sequence[str]) -> list[dict[str, Any]]:
        """One row a choice × explainer: the mean with its interval, and the rank (1 is best) among
        ``explainers``; others have none, so that ranks under all choices are of the same ones.
        """
        rows = []
        for choice, by_explainer in self.values.items():
            found = {e: bootstrap_mean(v, seed=self.seed) for e, v in by_explainer.items()}
            listed = [e for e in explainers if e in found]
            ranked = sorted(listed, key=lambda e: -_or_worst(float(found[e].mean)))
            further = [e for e in found if e not in listed]
            for explainer in [*listed, *further]:
                interval = found[explainer]
                mean, low, high = interval.numbers
                rows.append(
                    {
                        "data_set": self.panel,
                        "choice": choice,
                        "explainer": explainer,
                        "mean": mean,
                        "low": low,
                        "high": high,
                        "rank": ranked.index(explainer) + 1 if explainer in ranked else "",
                        "images": interval.images,
                    }
                )
        return rows

    def agreement(self, explainers: Sequence[str]) -> list[dict[str, Any]]:
        """One row a choice: how its ranking of the explainers agrees with the paper's choice, and
        what becomes of the paper's conclusion that LRP is best.
        """
        rows = []
        for choice, values in self.values.items():
            shared = [
                e
                for e in explainers
                if e in values and e != RANDOM and np.isfinite(values[e]).any()
            ]
            if len(shared) < 3:
                continue
            correlation = self._correlation(PAPER, choice, shared)
            verdict, weakest = self.lrp_is_best(choice)
            change = self._change(choice, weakest)
            rows.append(
                {
                    "data_set": self.panel,
                    "choice": choice,
                    "rho": correlation.rho,
                    "low": correlation.low,
                    "high": correlation.high,
                    "explainers": correlation.points,
                    "images": correlation.images,
                    "lrp_is_best": verdict,
                    "closest": weakest.what if weakest else "",
                    "lead": weakest.estimate if weakest else float("nan"),
                    "lead_low": weakest.low if weakest else float("nan"),
                    "lead_high": weakest.high if weakest else float("nan"),
                    "lead_images": weakest.n if weakest else 0,
                    "change": change[0],
                    "change_low": change[1],
                    "change_high": change[2],
                }
            )
        return rows

    def _correlation(self, first: str, second: str, explainers: list[str]) -> RankCorrelation:
        a, b = (
            np.stack([self.values[choice][e] for e in explainers], axis=1)
            for choice in (first, second)
        )
        return rank_correlation(a, b, paired=True, seed=self.seed)

    def _change(self, choice: str, weakest: Reading | None) -> tuple[float, float, float]:
        """By how much LRP's lead over the closest rival differs from that over the same one under the
        paper's choice, with its interval, image by image; NaN where the units differ.
        """
        if weakest is None or choice == PAPER or choice in OTHER_UNITS:
            return (float("nan"),) * 3
        leads = [self.values[c][LRP] - self.values[c][weakest.what] for c in (choice, PAPER)]
        return bootstrap_mean(leads[0] - leads[1], seed=self.seed).numbers

    def against_further(self, explainers: Sequence[str]) -> list[dict[str, Any]]:
        """One row a further explainer × explainer: the paired difference of their AOPC, taken as the
        paper takes it, further minus other.
        """
        values = self.values[PAPER]
        rows = []
        for further in [e for e in values if e not in explainers]:
            for explainer in explainers:
                interval = bootstrap_mean(values[further] - values[explainer], seed=self.seed)
                difference, low, high = interval.numbers
                rows.append(
                    {
                        "data_set": self.panel,
                        "further": further,
                        "explainer": explainer,
                        "difference": difference,
                        "low": low,
                        "high": high,
                        "images": interval.images,
                    }
                )
        return rows

    def lrp_is_best(self, choice: str) -> tuple[Verdict, Reading | None]:
        """Whether LRP is above sensitivity and deconvolution under a choice, and the closest one."""
        values = self.values[choice]
        rivals = [c for c in COMPETITORS if c in values]
        if LRP not in values or not rivals:
            return "could not run", None
        readings = [mean_reading(c, values[LRP] - values[c], seed=self.seed) for c in rivals]
        readings = [r for r in readings if r.n > 1]
        if not readings:
            return "could not run", None
        p_for, p_against = conjunction(readings)
        p = min(1.0, 2 * min(p_for, p_against))
        return verdict_of(p_for, p_against, p), min(readings, key=lambda r: r.estimate)


def _or_worst(value: float) -> float:
    return value if np.isfinite(value) else -np.inf


def robustness_of(
    panel: Summary,
    controls: Mapping[str, Mapping[str, Curves]],
    ground_truth: Mapping[str, Mapping[str, NDArray[np.float64]]],
) -> Robustness:
    """Everything that was measured on the control images.

    Parameters
    ----------
    panel
        The main experiment.
    controls
        Condition → explainer → curves (:func:`aopc.experiment.conditions.curves_under`).
    ground_truth
        Measure → explainer → (M,), of all M images of the panel; empty where there are no masks.
    """
    whole = panel.curves[RANDOM]["random"].image_ids
    some = next((c.image_ids for by in controls.values() for c in by.values()), whole)
    place = {name: i for i, name in enumerate(whole)}
    rows = np.array([place[name] for name in some])
    main = {e: _own(panel, e).take(rows) for e in panel.explainers}
    main |= controls.get(MAIN, {})
    values: dict[str, dict[str, NDArray[np.float64]]] = {
        PAPER: {e: aopc_curves(c)[:, -1] for e, c in main.items()},
        PROBABILITY: {e: aopc_curves(c, "probability")[:, -1] for e, c in main.items()},
    }
    first = [DROPOUT, LERF]
    last = [c for c in controls if c not in (*first, SPATIAL, MAIN)]
    for condition in [c for c in (*first, *last, SPATIAL) if c in controls]:
        by_explainer = controls[condition]
        if condition == LERF:
            values[ABPC] = {e: abpc_per_image(c, main[e]) for e, c in by_explainer.items()}
        elif condition == SPATIAL:
            values[SPATIAL] = {
                e: aopc_curves(main[e])[:, -1] - aopc_curves(c)[:, -1]
                for e, c in by_explainer.items()
            }
        else:
            values[condition] = {e: aopc_curves(c)[:, -1] for e, c in by_explainer.items()}
    for measure, by in ground_truth.items():
        values[measure] = {e: found[rows] for e, found in by.items()}
    return Robustness(panel.name, tuple(some), values, panel.seed)


def _own(panel: Summary, explainer: str) -> Curves:
    return panel.curves[explainer]["random" if explainer == RANDOM else "morf"]


def spatial_rows(
    panel: Summary, spatial: Mapping[str, Curves], found: Robustness
) -> list[dict[str, Any]]:
    """The spatial control, one row an explainer: AOPC relative to random order, that of the same
    heatmap at random places, and the difference.
    """
    random = found.values[PAPER][RANDOM]
    rows = []
    for explainer in [e for e in panel.explainers if e in spatial]:
        curves = spatial[explainer]
        own, placed = found.values[PAPER][explainer], aopc_curves(curves)[:, -1]
        row: dict[str, Any] = {"data_set": panel.name, "explainer": explainer}
        for name, values in (
            ("heatmap", own - random),
            ("clustering", placed - random),
            ("place", own - placed),
        ):
            interval = bootstrap_mean(values, seed=panel.seed)
            row[name], row[f"{name}_low"], row[f"{name}_high"] = interval.numbers
        rows.append({**row, "images": len(random)})
    return rows
