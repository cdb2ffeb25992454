"""The paper's claims C1 to C11, each with what is measured, and the rule that decides.

A claim consists of readings, one-sided comparisons that must all come out as it says. What a profile cannot read is
left out by name; a claim without any reading says why.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise

import numpy as np

from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.correlation import permutation_p, rank_correlation
from aopc.measures.statistics.hypotheses import SIGNIFICANCE, Reading, difference_reading, mean_reading, share_reading
from aopc.measures.summary import scale_of
from aopc.paper.claims.evidence import FORMATS, CannotReadError, Evidence, Found, OnPanel, Training, with_interval
from aopc.paper.robustness import COMPETITORS, DECONVOLUTIONS, LRP, SENSITIVITIES
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import DROPOUT

EPSILONS = ("lrp-epsilon-0.01", "lrp-epsilon-100")
SENSITIVITY, DECONVOLUTION = SENSITIVITIES[0], DECONVOLUTIONS[0]

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
    id
        As shared by all who speak of it.
    about
        The paper's sentence in our words (``claim``), what ``effect`` is, with its unit (``estimand``), how p-values
        are found (``test``), what all readings must show (``rule``), and the figure or table of it (``shown_in``).
    on_panels
        Whether it is about the paper's data sets.
    """

    id: str
    about: Mapping[str, str]
    on_panels: bool
    read: Callable[[Evidence], Found]


#: In the paper's order.
CLAIMS: list[Claim] = []

_AOPC = "paired difference in AOPC, score before softmax"
_PAIRED = "Student's t test on paired differences, the same replacements for both; bootstrap interval over images"
_EACH = "on each data set"


def _claim(
    id: str, says: str, rule: str, shown_in: str, *, estimand: str = _AOPC, test: str = _PAIRED, on_panels: bool = False
) -> Callable[[Callable[[Evidence], Found]], None]:
    """Enter a claim, with the texts of :attr:`Claim.about`."""
    about = {"claim": says, "estimand": estimand, "test": test, "rule": rule, "shown_in": shown_in}
    return lambda read: CLAIMS.append(Claim(id, about, on_panels, read))


def _claim_on_panels(*texts: str, **further: str) -> Callable[[Callable[[OnPanel], list[Reading]]], None]:
    """Enter a claim that is read panel by panel."""
    enter = _claim(*texts, on_panels=True, **further)
    return lambda read: enter(partial(_on_each, read))


def _on_each(read: Callable[[OnPanel], list[Reading]], evidence: Evidence) -> Found:
    found = Found()
    for panel in evidence.some_panels():
        found.add(read, panel)
    return found


@_claim_on_panels(
    "C1",
    "LRP has the largest AOPC on all three data sets",
    f"{LRP} is above sensitivity and deconvolution (ℓ2 and ℓ∞) and random order {_EACH}",
    "figure4",
)
def _c1(panel: OnPanel) -> list[Reading]:
    return [panel.lead(LRP, rival) for rival in (*COMPETITORS, RANDOM)]


@_claim_on_panels(
    "C2",
    "ε-LRP does slightly better than αβ-LRP",
    f"LRP with ε = 0.01 and with ε = 100 are above α = 2, β = −1 {_EACH}",
    "figure4",
)
def _c2(panel: OnPanel) -> list[Reading]:
    return [panel.lead(epsilon, LRP) for epsilon in EPSILONS]


@_claim_on_panels(
    "C3",
    "Deconvolution is the closest competitor, and well above random",
    f"deconvolution is above sensitivity under the same norm, and above random order, {_EACH}",
    "figure4",
)
def _c3(panel: OnPanel) -> list[Reading]:
    pairs = zip(DECONVOLUTIONS, SENSITIVITIES, strict=True)
    return [panel.lead(deconvolution, other) for deconvolution, s in pairs for other in (s, RANDOM)]


@_claim_on_panels(
    "C4",
    "Sensitivity is the weakest; on SUN397 it falls below random, on MIT Places it starts above",
    f"sensitivity ℓ2 is below deconvolution ℓ2 and LRP {_EACH}; on SUN397 it is below random order at the last step;"
    " on MIT Places above it at a tenth of the steps, and below at the last",
    "figure4",
)
def _c4(panel: OnPanel) -> list[Reading]:
    readings = [panel.lead(other, SENSITIVITY) for other in (DECONVOLUTION, LRP)]
    # Curve-wise: at the first tenth of the steps, and at the end.
    curves, scale = panel.ahead(SENSITIVITY, RANDOM), panel.summary.scale(SENSITIVITY, RANDOM)
    last = curves.shape[1] - 1
    early = max(1, math.ceil(last / 10))
    what = f"{SENSITIVITY} relative to random at step"
    if panel.data_set == "places205":
        readings.append(panel.reading(f"{what} {early}", curves[:, early], scale=scale))
    if panel.data_set != "ilsvrc2012":
        readings.append(panel.reading(f"{what} {last}", curves[:, last], side="below", scale=scale))
    return readings


@_claim(
    "C5",
    "AOPC is larger on ILSVRC2012 (objects) than on the two scene data sets",
    "so for LRP, deconvolution ℓ2 and sensitivity ℓ2, against each scene data set",
    "figure4",
    estimand="difference in mean AOPC relative to random, score before softmax",
    test="Welch's t test; bootstrap interval over the images of both panels",
    on_panels=True,
)
def _c5(evidence: Evidence) -> Found:
    (objects,) = evidence.some_panels("ilsvrc2012")
    found = Found()
    for scenes in evidence.some_panels("sun397", "places205"):
        found.add(_compare, objects, scenes)
    return found


def _compare(objects: OnPanel, scenes: OnPanel) -> list[Reading]:
    readings = []
    for explainer in (LRP, DECONVOLUTION, SENSITIVITY):
        first, second = (panel.ahead(explainer, RANDOM)[:, -1] for panel in (objects, scenes))
        what = f"{explainer}, {objects.title} minus {scenes.title}"
        scale = max(panel.summary.scale(explainer, RANDOM) for panel in (objects, scenes))
        readings.append(difference_reading(what, first, second, seed=objects.evidence.seed, scale=scale))
    return readings


@_claim_on_panels(
    "C6",
    "With dropout active the ranking stays",
    "each pair of LRP, deconvolution ℓ2, sensitivity ℓ2 and random order that differs without"
    f" dropout (p < {SIGNIFICANCE}) differs the same way with it, {_EACH}",
    "choices",
    estimand="paired difference in AOPC with dropout active, score before softmax",
)
def _c6(panel: OnPanel) -> list[Reading]:
    dropped = panel.evidence.controls.get(panel.data_set, {}).get(DROPOUT)
    if dropped is None:
        raise CannotReadError(
            f"{panel.title} was not run with dropout active: its network has no dropout layers, or params.yaml says"
            " controls.dropout: false"
        )
    compared = (LRP, DECONVOLUTION, SENSITIVITY, RANDOM)
    panel.require(*compared)
    if missing := [e for e in compared if e not in dropped]:
        raise CannotReadError(
            f"heatmaps of {' and '.join(missing)} were not judged with dropout active on {panel.title}"
        )
    place = {name: row for row, name in enumerate(panel.summary.images)}
    rows = [place[name] for name in panel.summary.images_under({DROPOUT: dropped})]
    readings = []
    for pair in combinations(compared, 2):
        without = panel.reading("", panel.ahead(*pair)[rows, -1], scale=panel.summary.scale(*pair))
        if min(without.p_for, without.p_against) > SIGNIFICANCE / 2:
            continue
        better, worse = pair if without.estimate > 0 else pair[::-1]
        values = aopc_curves(dropped[better])[:, -1] - aopc_curves(dropped[worse])[:, -1]
        scale = scale_of(dropped[better], dropped[worse])
        readings.append(panel.reading(f"{better} minus {worse} with dropout active", values, scale=scale))
    if not readings:
        raise CannotReadError(f"no pair of methods differs on {panel.title} without dropout")
    return readings


@_claim_on_panels(
    "C7",
    "File size: LRP < deconvolution < sensitivity, PNG and JPEG, for almost every image",
    f"each of the two orders holds for more than {ALMOST_EVERY:.0%} of the images, in both formats, {_EACH}",
    "figure5",
    estimand="share of images",
    test="exact binomial test; Clopper and Pearson's interval",
)
def _c7(panel: OnPanel) -> list[Reading]:
    methods = {"LRP": LRP, "deconvolution": DECONVOLUTION, "sensitivity": SENSITIVITY}
    readings = []
    for measure, label in FORMATS.items():
        for low, high in pairwise(methods):
            one, other = panel.complexity(measure, methods[low], methods[high])
            what = f"images with {low} < {high}, {label}, {panel.title}"
            readings.append(share_reading(what, one < other, bound=ALMOST_EVERY))
    return readings


@_claim_on_panels(
    "C8",
    "Entropy: LRP is below deconvolution and sensitivity",
    f"deconvolution ℓ2 and sensitivity ℓ2 are above {LRP} {_EACH}",
    "figure5",
    estimand="paired difference in entropy, bit",
)
def _c8(panel: OnPanel) -> list[Reading]:
    entropies = {rival: panel.complexity("entropy", LRP, rival) for rival in (DECONVOLUTION, SENSITIVITY)}
    return [panel.reading(f"{rival} minus {LRP}", other - lrp) for rival, (lrp, other) in entropies.items()]


@_claim(
    "C9",
    "During training AOPC rises and falls with accuracy",
    "ρ is above zero, over five checkpoints or more of one training run",
    "figure7",
    estimand="Spearman's ρ of AOPC and test accuracy over checkpoints",
    test="permutation of the checkpoints, and bootstrap over images: the larger p. It takes checkpoints as"
    " exchangeable, so two things that both rise all along pass it",
)
def _c9(evidence: Evidence) -> Found:
    if not evidence.trainings:
        raise CannotReadError("this profile follows no training (section checkpoints)")
    found = Found()
    for training in evidence.trainings.values():
        found.add(_read_training, training, evidence.seed)
    notes = [_beside_the_trend(training, evidence.seed) for training in evidence.trainings.values()]
    found.note = "; ".join(filter(None, notes))
    return found


def _read_training(training: Training, seed: int) -> list[Reading]:
    points = training.heatmap.shape[1]
    if points < FEWEST_CHECKPOINTS:
        raise CannotReadError(f"{training.title}: {points} checkpoints are too few, it takes {FEWEST_CHECKPOINTS}")
    found = rank_correlation(training.heatmap, training.correct, seed=seed)
    if not math.isfinite(found.rho):
        raise CannotReadError(
            f"{training.title}: ρ is not defined, since AOPC or accuracy is the same at all {points} checkpoints or unknown"
        )
    greater, less = permutation_p(training.heatmap.mean(axis=0), training.correct.mean(axis=0), seed=seed)
    # Neither another order of the checkpoints nor other images may undo it; of one image nothing is known of others.
    shares = np.nan_to_num([found.not_positive, found.not_negative], nan=1.0)
    p_for, p_against = np.maximum([greater, less], shares).tolist()
    what, interval = f"ρ over {found.points} checkpoints, {training.title}", (found.rho, found.low, found.high)
    return [Reading(what, *interval, 0.0, "above", math.nan, p_for, p_against, found.points)]


def _beside_the_trend(training: Training, seed: int) -> str:
    """What is left of ρ without what rises anyway: scores, and everything that is learnt."""
    if training.heatmap.shape[1] < FEWEST_CHECKPOINTS:
        return ""
    relative = rank_correlation(training.heatmap - training.random, training.correct, seed=seed)
    steps = (np.diff(values.astype(np.float64), axis=1) for values in (training.heatmap, training.correct))
    changes = rank_correlation(*steps, seed=seed)
    relative_to, of_changes = (f"ρ = {with_interval(r.rho, r.low, r.high)}" for r in (relative, changes))
    return (
        f"{training.title}: with AOPC relative to random order {relative_to}, of the changes from one checkpoint to the"
        f" next {of_changes}"
    )


@_claim_on_panels(
    "C10",
    "LRP conserves relevance: Σ_p h_p = f(x)",
    f"{LRP} is below {CONSERVED} {_EACH}",
    "figure2",
    estimand="mean over images of the deviation of Σ_p h_p / f(x) from 1",
    test="Student's t test against the tolerance; bootstrap interval over images",
)
def _c10(panel: OnPanel) -> list[Reading]:
    ratios = panel.evidence.conservation.get(panel.data_set, {})
    if LRP not in ratios:
        raise CannotReadError(f"this profile has no heatmaps of {LRP}")
    what = f"mean deviation of Σ h / f(x) from 1, {LRP}"
    return [panel.reading(what, np.abs(ratios[LRP] - 1), bound=CONSERVED, side="below")]


@_claim(
    "C11",
    "Without pooling layers deconvolution is not image-specific, LRP is",
    f"deconvolution's similarity is above {SAME_PICTURE} (the same picture), LRP's below {OTHER_PICTURE}",
    "figure3",
    estimand="mean correlation of a heatmap with those of the same class",
    test="Student's t test against the bounds; bootstrap interval over images",
)
def _c11(evidence: Evidence) -> Found:
    similar, seed = evidence.specificity, evidence.seed
    if similar is None:
        raise CannotReadError("this profile has no network without pooling (section digits)")
    if missing := [e for e in (DECONVOLUTION, LRP) if e not in similar]:
        raise CannotReadError(f"this profile has no heatmaps of digits of {' and '.join(missing)}")
    what = "similarity of {}'s heatmaps to those of the same class"
    deconvolution = mean_reading(what.format(DECONVOLUTION), similar[DECONVOLUTION], seed=seed, bound=SAME_PICTURE)
    lrp = mean_reading(what.format(LRP), similar[LRP], seed=seed, bound=OTHER_PICTURE, side="below")
    return Found([deconvolution, lrp])
