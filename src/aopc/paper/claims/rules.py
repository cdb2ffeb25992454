"""The paper's claims C1 to C11, each with what is measured, and the rule that decides.

A claim consists of readings, one-sided comparisons that must all come out as it says. What a profile
cannot read is left out by name; a claim without any reading says why.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.correlation import permutation_p, rank_correlation
from aopc.measures.statistics.hypotheses import (
    SIGNIFICANCE,
    Reading,
    difference_reading,
    mean_reading,
    share_reading,
)
from aopc.measures.summary import Summary
from aopc.paper.claims.evidence import CannotReadError, Evidence, Found, Training, require
from aopc.paper.robustness import LRP
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import DROPOUT

EPSILONS = ("lrp-epsilon-0.01", "lrp-epsilon-100")
SENSITIVITY, DECONVOLUTION = "sensitivity-l2", "deconvolution-l2"
SENSITIVITIES = ("sensitivity-l2", "sensitivity-linf")
DECONVOLUTIONS = ("deconvolution-l2", "deconvolution-linf")

#: C7: "almost every image".
ALMOST_EVERY = 0.9
#: C10: the mean of |Σ_p h_p / f(x) − 1| that still counts as conserved.
CONSERVED = 0.05
#: C11: Pearson's correlation above which two heatmaps are the same picture, and below which they are not.
SAME_PICTURE, OTHER_PICTURE = 0.99, 0.9
#: C9 needs so many checkpoints: with fewer no order of them is significant.
FEWEST_CHECKPOINTS = 5


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    on_panels
        Whether it is about the paper's data sets.
    read
        The readings.
    id, says
        As shared by all who speak of it, and the paper's sentence in our words.
    estimand
        What ``effect`` is, with its unit.
    test
        How its p-values are found.
    rule
        What all readings must show.
    shown_in
        The figure or table that shows it.
    """

    on_panels: bool
    read: Callable[[Evidence], Found]
    id: str
    says: str
    estimand: str
    test: str
    rule: str
    shown_in: str


#: In the paper's order.
CLAIMS: list[Claim] = []

_AOPC = "paired difference in AOPC, score before softmax"
_PAIRED = (
    "Student's t test on paired differences under common noise; bootstrap interval over images"
)
_EACH = "on each data set"


def _claim(*texts: str) -> Callable[[Callable[[Evidence], Found]], None]:
    """Enter a claim that is not about the paper's data sets: its texts as of :class:`Claim`."""
    return lambda read: CLAIMS.append(Claim(False, read, *texts))


def _claim_on_panels(
    *texts: str, wanted: tuple[str, ...] = (), needed: tuple[str, ...] = ()
) -> Callable[[Callable[[Evidence, str, Summary], list[Reading]]], None]:
    """Enter a claim that is read panel by panel: on all, or those ``wanted``, where those ``needed`` are there."""

    def enter(read: Callable[[Evidence, str, Summary], list[Reading]]) -> None:
        def on_each(evidence: Evidence) -> Found:
            found = Found()
            for name in needed:
                evidence.some_panels(name)
            for name, panel in evidence.some_panels(*wanted).items():
                found.add(read, evidence, name, panel)
            return found

        CLAIMS.append(Claim(True, on_each, *texts))

    return enter


@_claim_on_panels(
    "C1",
    "LRP has the largest AOPC on all three data sets",
    _AOPC,
    _PAIRED,
    f"{LRP} is above sensitivity and deconvolution (ℓ2 and ℓ∞) and random order {_EACH}",
    "figure4",
)
def _c1(evidence: Evidence, _: str, panel: Summary) -> list[Reading]:
    return [evidence.lead(panel, LRP, r) for r in (*SENSITIVITIES, *DECONVOLUTIONS, RANDOM)]


@_claim_on_panels(
    "C2",
    "ε-LRP does slightly better than αβ-LRP",
    _AOPC,
    _PAIRED,
    f"LRP with ε = 0.01 and with ε = 100 are above α = 2, β = −1 {_EACH}",
    "figure4",
)
def _c2(evidence: Evidence, _: str, panel: Summary) -> list[Reading]:
    return [evidence.lead(panel, epsilon, LRP) for epsilon in EPSILONS]


@_claim_on_panels(
    "C3",
    "Deconvolution is the closest competitor, and well above random",
    _AOPC,
    _PAIRED,
    f"deconvolution is above sensitivity under the same norm, and above random order, {_EACH}",
    "figure4",
)
def _c3(evidence: Evidence, _: str, panel: Summary) -> list[Reading]:
    pairs = list(zip(DECONVOLUTIONS, SENSITIVITIES, strict=True))
    return [evidence.lead(panel, d, other) for d, s in pairs for other in (s, RANDOM)]


@_claim_on_panels(
    "C4",
    "Sensitivity is the weakest; on SUN397 it falls below random, on MIT Places it starts above",
    _AOPC,
    _PAIRED,
    f"sensitivity ℓ2 is below deconvolution ℓ2 and LRP {_EACH}; on SUN397 it is below random order at"
    " the last step; on MIT Places above it at a tenth of the steps, and below at the last",
    "figure4",
)
def _c4(evidence: Evidence, paper_name: str, panel: Summary) -> list[Reading]:
    readings = [evidence.lead(panel, other, SENSITIVITY) for other in (DECONVOLUTION, LRP)]
    if paper_name == "ilsvrc2012":
        return readings
    # Curve-wise: at the first tenth of the steps, and at the end.
    curves = panel.aopc_curves(SENSITIVITY) - panel.aopc_curves(RANDOM)
    name, steps = evidence.name(panel), curves.shape[1] - 1
    if paper_name == "places205":
        early = max(1, math.ceil(steps / 10))
        what = f"{SENSITIVITY} relative to random at step {early}, {name}"
        readings.append(mean_reading(what, curves[:, early], seed=evidence.seed))
    what = f"{SENSITIVITY} relative to random at step {steps}, {name}"
    return [*readings, mean_reading(what, curves[:, -1], seed=evidence.seed, side="below")]


@_claim_on_panels(
    "C5",
    "AOPC is larger on ILSVRC2012 (objects) than on the two scene data sets",
    "difference in mean AOPC relative to random, score before softmax",
    "Welch's t test; bootstrap interval over the images of both panels",
    "so for LRP, deconvolution ℓ2 and sensitivity ℓ2, against each scene data set",
    "figure4",
    wanted=("sun397", "places205"),
    needed=("ilsvrc2012",),
)
def _c5(evidence: Evidence, _: str, scenes: Summary) -> list[Reading]:
    (objects,) = evidence.some_panels("ilsvrc2012").values()
    readings = []
    for explainer in (LRP, DECONVOLUTION, SENSITIVITY):
        values = []
        for panel in (objects, scenes):
            require(panel, explainer)
            lead = panel.aopc_curves(explainer)[:, -1] - panel.aopc_curves(RANDOM)[:, -1]
            values.append(lead)
        what = f"{explainer}, {evidence.name(objects)} minus {evidence.name(scenes)}"
        readings.append(difference_reading(what, *values, seed=evidence.seed))
    return readings


@_claim_on_panels(
    "C6",
    "With dropout active the ranking stays",
    "paired difference in AOPC with dropout active, score before softmax",
    _PAIRED,
    "each pair of LRP, deconvolution ℓ2, sensitivity ℓ2 and random order that differs without"
    f" dropout (p < {SIGNIFICANCE}) differs the same way with it, {_EACH}",
    "choices",
)
def _c6(evidence: Evidence, paper_name: str, panel: Summary) -> list[Reading]:
    dropped = evidence.controls.get(paper_name, {}).get(DROPOUT)
    if dropped is None:
        raise CannotReadError(
            f"{evidence.name(panel)} was not run with dropout active: its network has no dropout"
            " layers, or params.yaml says controls.dropout: false"
        )
    require(panel, LRP, DECONVOLUTION, SENSITIVITY)
    place = {name: i for i, name in enumerate(panel.curves[RANDOM]["random"].image_ids)}
    rows = [place[name] for name in dropped[RANDOM].image_ids]
    readings = []
    for first, second in combinations((LRP, DECONVOLUTION, SENSITIVITY, RANDOM), 2):
        off = (panel.aopc_curves(first) - panel.aopc_curves(second))[rows, -1]
        without = mean_reading("", off, seed=evidence.seed)
        if min(without.p_for, without.p_against) > SIGNIFICANCE / 2:
            continue
        ahead, behind = (first, second) if without.estimate > 0 else (second, first)
        on = aopc_curves(dropped[ahead])[:, -1] - aopc_curves(dropped[behind])[:, -1]
        what = f"{ahead} minus {behind} with dropout active, {evidence.name(panel)}"
        readings.append(mean_reading(what, on, seed=evidence.seed))
    if not readings:
        raise CannotReadError(
            f"no pair of methods differs on {evidence.name(panel)} without dropout"
        )
    return readings


def _complexity(
    evidence: Evidence, panel: Summary, measure: str, explainers: tuple[str, ...]
) -> list[NDArray[np.float64]]:
    """One measure of several explainers' heatmaps, image by image; those of nothing are left out."""
    table, found = panel.complexity, []
    require(panel, *explainers)
    for explainer in explainers:
        rows = table["explainer"] == explainer
        values = table[measure][rows].astype(np.float64)
        found.append(np.where(table["zero"][rows].astype(bool), np.nan, values))
    whole = np.isfinite(found).all(axis=0)
    if not whole.any():
        raise CannotReadError(
            f"on every image of {evidence.name(panel)} one of the heatmaps is zero everywhere"
        )
    return [values[whole] for values in found]


@_claim_on_panels(
    "C7",
    "File size: LRP < deconvolution < sensitivity, PNG and JPEG, for almost every image",
    "share of images",
    "exact binomial test; Clopper and Pearson's interval",
    f"each of the two orders holds for more than {ALMOST_EVERY:.0%} of the images, in both formats,"
    f" {_EACH}",
    "figure5",
)
def _c7(evidence: Evidence, _: str, panel: Summary) -> list[Reading]:
    readings = []
    for measure, label in (("png_kb", "PNG"), ("jpeg_kb", "JPEG")):
        for (low, small), (high, large) in (
            (("LRP", LRP), ("deconvolution", DECONVOLUTION)),
            (("deconvolution", DECONVOLUTION), ("sensitivity", SENSITIVITY)),
        ):
            one, other = _complexity(evidence, panel, measure, (small, large))
            what = f"images with {low} < {high}, {label}, {evidence.name(panel)}"
            readings.append(share_reading(what, one < other, bound=ALMOST_EVERY))
    return readings


@_claim_on_panels(
    "C8",
    "Entropy: LRP is below deconvolution and sensitivity",
    "paired difference in entropy, bit",
    _PAIRED,
    f"deconvolution ℓ2 and sensitivity ℓ2 are above {LRP} {_EACH}",
    "figure5",
)
def _c8(evidence: Evidence, _: str, panel: Summary) -> list[Reading]:
    readings = []
    for rival in (DECONVOLUTION, SENSITIVITY):
        lrp, other = _complexity(evidence, panel, "entropy", (LRP, rival))
        what = f"{rival} minus {LRP}, {evidence.name(panel)}"
        readings.append(mean_reading(what, other - lrp, seed=evidence.seed))
    return readings


@_claim(
    "C9",
    "During training AOPC rises and falls with accuracy",
    "Spearman's ρ of AOPC and test accuracy over checkpoints",
    "permutation of the checkpoints, and bootstrap over images: the larger p. It takes checkpoints as"
    " exchangeable, so two things that both rise all along pass it",
    "ρ is above zero, over five checkpoints or more of one training run",
    "figure7",
)
def _c9(evidence: Evidence) -> Found:
    if not evidence.trainings:
        raise CannotReadError("this profile follows no training (section checkpoints)")
    found = Found()
    for training in evidence.trainings.values():
        found.add(_read_training, evidence, training)
    notes = [_beside_the_trend(evidence, t) for t in evidence.trainings.values()]
    found.note = "; ".join(n for n in notes if n)
    return found


def _read_training(evidence: Evidence, training: Training) -> list[Reading]:
    found = rank_correlation(training.heatmap, training.correct, seed=evidence.seed)
    if found.points < FEWEST_CHECKPOINTS or not math.isfinite(found.rho):
        raise CannotReadError(
            f"{training.title}: {found.points} checkpoints are too few, it takes {FEWEST_CHECKPOINTS}"
            " with different accuracies"
        )
    means = training.heatmap.mean(axis=0), training.correct.mean(axis=0)
    greater, less = permutation_p(*means, seed=evidence.seed)
    return [
        Reading(
            f"ρ over {found.points} checkpoints, {training.title}",
            found.rho,
            found.low,
            found.high,
            0.0,
            "above",
            float("nan"),
            # Neither another order of the checkpoints nor other images may undo it.
            max(greater, found.not_positive),
            max(less, found.not_negative),
            found.points,
        )
    ]


def _beside_the_trend(evidence: Evidence, training: Training) -> str:
    """What is left of ρ without what rises anyway: scores, and everything that is learnt."""
    if training.heatmap.shape[1] < FEWEST_CHECKPOINTS:
        return ""
    kinds = {
        "with AOPC relative to random order": (
            training.heatmap - training.random,
            training.correct,
        ),
        "of the changes from one checkpoint to the next": (
            np.diff(training.heatmap, axis=1),
            np.diff(training.correct.astype(np.float64), axis=1),
        ),
    }
    said = []
    for kind, (first, second) in kinds.items():
        found = rank_correlation(first, second, seed=evidence.seed)
        numbers = f"ρ = {found.rho:.2f} [{found.low:.2f}, {found.high:.2f}]".replace("-", "−")
        said.append(f"{kind} {numbers}")
    return f"{training.title}: {', '.join(said)}"


@_claim_on_panels(
    "C10",
    "LRP conserves relevance: Σ_p h_p = f(x)",
    "mean over images of the deviation of Σ_p h_p / f(x) from 1",
    "Student's t test against the tolerance; bootstrap interval over images",
    f"{LRP} is below {CONSERVED} {_EACH}",
    "figure2",
)
def _c10(evidence: Evidence, paper_name: str, panel: Summary) -> list[Reading]:
    ratios = evidence.conservation.get(paper_name, {})
    if LRP not in ratios:
        raise CannotReadError(f"this profile has no heatmaps of {LRP}")
    return [
        mean_reading(
            f"mean deviation of Σ h / f(x) from 1, {LRP}, {evidence.name(panel)}",
            np.abs(ratios[LRP] - 1),
            seed=evidence.seed,
            bound=CONSERVED,
            side="below",
        )
    ]


@_claim(
    "C11",
    "Without pooling layers deconvolution is not image-specific, LRP is",
    "mean correlation of a heatmap with those of the same class",
    "Student's t test against the bounds; bootstrap interval over images",
    f"deconvolution's similarity is above {SAME_PICTURE} (the same picture), LRP's below"
    f" {OTHER_PICTURE}",
    "figure3",
)
def _c11(evidence: Evidence) -> Found:
    if evidence.specificity is None:
        raise CannotReadError("this profile has no network without pooling (section digits)")
    return Found(
        [
            mean_reading(
                f"similarity of {DECONVOLUTION}'s heatmaps to those of the same class",
                evidence.specificity[DECONVOLUTION],
                seed=evidence.seed,
                bound=SAME_PICTURE,
            ),
            mean_reading(
                f"similarity of {LRP}'s heatmaps to those of the same class",
                evidence.specificity[LRP],
                seed=evidence.seed,
                bound=OTHER_PICTURE,
                side="below",
            ),
        ]
    )
