"""How the comparison of explainers depends on choices that the paper made one way.

All on the same images of one panel: those that the controls were run on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.measures.abpc import abpc_per_image
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.bootstrap import Interval, bootstrap_mean
from aopc.measures.statistics.correlation import rank_correlation
from aopc.measures.statistics.decisions import decide
from aopc.measures.statistics.hypotheses import Reading, Verdict, mean_reading
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
    SPATIAL: "AOPC is counted from that of the same heatmap at random places",
    MASS: "heatmaps are judged by how much relevance lies on the object",
    POINTING: "heatmaps are judged by whether their maximum lies on the object",
}

#: Not measured in units of the class score, as AOPC is: leads under them cannot be compared with it.
OTHER_UNITS = (PROBABILITY, MASS, POINTING)

#: "LRP" and its competitors in the paper's main comparison.
LRP = "lrp-alpha2-beta1"
SENSITIVITIES = ("sensitivity-l2", "sensitivity-linf")
DECONVOLUTIONS = ("deconvolution-l2", "deconvolution-linf")
COMPETITORS = (*SENSITIVITIES, *DECONVOLUTIONS)
#: Further explainers that do not know the network.
BLIND = ("centre-first", "image-edges")

_NAN = float("nan")


@dataclass(frozen=True)
class Robustness:
    """The values of every explainer on every image under each choice.

    Attributes
    ----------
    panel, images
        Its name, and N names.
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
        """One row a choice × explainer: the mean with its interval, and the rank (1 is best) among ``explainers``;
        others have none, so that ranks under all choices are of the same ones.
        """
        rows = []
        for choice, by_explainer in self.values.items():
            found = {e: self._mean(values) for e, values in by_explainer.items()}
            listed = [e for e in explainers if e in found]
            known = [found[e].mean for e in listed if np.isfinite(found[e].mean)]
            for explainer in dict.fromkeys([*listed, *found]):
                about = {"data_set": self.panel, "choice": choice, "explainer": explainer}
                mean = _numbers("mean", found[explainer].numbers)
                rank: int | str = ""
                if explainer in listed:
                    # Those that are equal share a rank; one without a mean comes last.
                    mine = np.nan_to_num(found[explainer].mean, nan=-np.inf)
                    rank = 1 + sum(bool(other > mine) for other in known)
                rows.append({**about, **mean, "rank": rank, "images": found[explainer].images})
        return rows

    def agreement(self, explainers: Sequence[str]) -> list[dict[str, Any]]:
        """One row a choice: how its ranking of the explainers agrees with the paper's choice, and what becomes of the
        paper's conclusion that LRP is best.
        """
        rows = []
        for choice, values in self.values.items():
            shared = [e for e in explainers if e in values and e != RANDOM and np.isfinite(values[e]).any()]
            if len(shared) < 3:
                continue
            ranked = (np.stack([self.values[c][e] for e in shared], axis=1) for c in (PAPER, choice))
            found = rank_correlation(*ranked, paired=True, seed=self.seed)
            verdict, closest = self.lrp_is_best(choice)
            rows.append(
                {
                    "data_set": self.panel,
                    "choice": choice,
                    **_numbers("rho", (found.rho, found.low, found.high)),
                    "explainers": found.points,
                    "images": found.images,
                    "lrp_is_best": verdict,
                    "closest": closest.what,
                    **_numbers("lead", (closest.estimate, closest.low, closest.high), "lead_"),
                    "lead_images": closest.n,
                    **_numbers("change", self._change(choice, closest.what), "change_"),
                }
            )
        return rows

    def _mean(self, values: NDArray[np.float64]) -> Interval:
        return bootstrap_mean(values, seed=self.seed)

    def _change(self, choice: str, rival: str) -> tuple[float, float, float]:
        """By how much LRP's lead over a rival differs from that under the paper's choice, with its interval, image by
        image; NaN where there is no rival, and where the units differ.
        """
        if not rival or choice == PAPER or choice in OTHER_UNITS:
            return (_NAN,) * 3
        lead, own = (self.values[c][LRP] - self.values[c][rival] for c in (choice, PAPER))
        return self._mean(lead - own).numbers

    def against_further(self, explainers: Sequence[str]) -> list[dict[str, Any]]:
        """One row a further explainer × explainer: the paired difference of their AOPC, taken as the paper takes it,
        further minus other.
        """
        values, rows = self.values[PAPER], []
        for further in [e for e in values if e not in explainers]:
            for explainer in explainers:
                found = self._mean(values[further] - values[explainer])
                about = {"data_set": self.panel, "further": further, "explainer": explainer}
                difference = _numbers("difference", found.numbers)
                rows.append({**about, **difference, "images": found.images})
        return rows

    def lrp_is_best(self, choice: str) -> tuple[Verdict, Reading]:
        """Whether LRP is above sensitivity and deconvolution under a choice, and the lead over the one on which that
        turns, whose name is empty where it could not be compared.
        """
        values = self.values[choice]
        rivals = [c for c in COMPETITORS if c in values and LRP in values]
        readings = [
            mean_reading(c, values[LRP] - values[c], seed=self.seed, scale=_scale(values[LRP], values[c]))
            for c in rivals
        ]
        readings = [r for r in readings if r.n > 1]
        if not readings:
            return "could not run", Reading("", _NAN, _NAN, _NAN, 0.0, "above", _NAN, 1.0, 1.0, 0)
        decision = decide({LRP: readings})[LRP]
        return decision.verdict, readings[decision.turning]


def _scale(*values: NDArray[np.float64]) -> float:
    return max(float(np.abs(v[np.isfinite(v)]).max(initial=0.0)) for v in values)


def _numbers(name: str, numbers: Iterable[float], prefix: str = "") -> dict[str, Any]:
    """Of an estimate and its interval, by column."""
    return dict(zip((name, f"{prefix}low", f"{prefix}high"), numbers, strict=True))


def robustness_of(
    panel: Summary,
    controls: Mapping[str, Mapping[str, Curves]],
    ground_truth: Mapping[str, Mapping[str, NDArray[np.float64]]],
) -> Robustness:
    """Everything that was measured on the control images.

    Parameters
    ----------
    panel, controls
        The main experiment; condition → explainer → curves (:func:`aopc.experiment.conditions.curves_under`).
    ground_truth
        Measure → explainer → (M,), of all M images of the panel; empty where there are no masks.
    """
    some = panel.images_under(controls)
    place = {name: row for row, name in enumerate(panel.images)}
    rows = np.array([place[name] for name in some])
    own = {e: c["random" if e == RANDOM else "morf"].take(rows) for e, c in panel.curves.items()}
    main = {**own, **controls.get(MAIN, {})}
    paper = _aopc(main)
    values = {PAPER: paper, PROBABILITY: {e: aopc_curves(c, "probability")[:, -1] for e, c in main.items()}}
    first, last = (DROPOUT, LERF), (SPATIAL, MAIN)
    others = [c for c in controls if c not in (*first, *last)]
    for condition in (c for c in (*first, *others, SPATIAL) if c in controls):
        curves = controls[condition]
        if condition == LERF:
            values[ABPC] = {e: abpc_per_image(c, main[e]) for e, c in curves.items()}
        elif condition == SPATIAL:
            values[SPATIAL] = {e: paper[e] - placed for e, placed in _aopc(curves).items()}
        else:
            values[condition] = _aopc(curves)
    values |= {measure: {e: v[rows] for e, v in of.items()} for measure, of in ground_truth.items()}
    return Robustness(panel.name, some, values, panel.seed)


def _aopc(curves: Mapping[str, Curves]) -> dict[str, NDArray[np.float64]]:
    return {e: aopc_curves(c)[:, -1] for e, c in curves.items()}


def spatial_rows(panel: Summary, spatial: Mapping[str, Curves], found: Robustness) -> list[dict[str, Any]]:
    """The spatial control, one row an explainer: AOPC relative to random order, that of the same heatmap at random
    places, and the difference.
    """
    paper, rows = found.values[PAPER], []
    random = paper[RANDOM]
    for explainer, placed in _aopc({e: spatial[e] for e in panel.explainers if e in spatial}).items():
        row: dict[str, Any] = {"data_set": panel.name, "explainer": explainer}
        own = paper[explainer]
        for name, values in (("heatmap", own - random), ("clustering", placed - random), ("place", own - placed)):
            row |= _numbers(name, bootstrap_mean(values, seed=panel.seed).numbers, f"{name}_")
        rows.append({**row, "images": len(random)})
    return rows
