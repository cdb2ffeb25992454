"""What the stages of a profile measured, read from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import DamagedError
from aopc.base.files import digest_of, origin_of, read_array, read_record, read_table
from aopc.experiment.store import read_curves
from aopc.measures.conservation import conserved_share
from aopc.measures.localisation import pointing_game, relevance_mass
from aopc.measures.specificity import with_their_spread
from aopc.measures.summary import Summary
from aopc.paper.claims.evidence import Evidence, Training
from aopc.paper.folders import DATA
from aopc.paper.panel import Panel
from aopc.paper.robustness import MASS, POINTING
from aopc.perturbation.curves import Curves
from aopc.perturbation.order import RANDOM

if TYPE_CHECKING:
    from aopc.paper.settings import Settings

#: Condition → explainer → curves.
Controls = dict[str, dict[str, Curves]]
#: Explainer → one value an image.
Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """Attributes
    ----------
    explainers, seed
        Of params.yaml.
    summaries, controls, conservation, truth
        By panel. ``conservation`` is LRP explainer → Σ_p h_p / f(x) of each image; ``truth`` measure → explainer →
        (N,), where masks are known.
    trainings
        By data set.
    similarity
        Of the digits' heatmaps, None where there are none.
    """

    explainers: Sequence[str]
    seed: int
    summaries: Mapping[str, Summary]
    controls: Mapping[str, Controls]
    conservation: Mapping[str, Values]
    truth: Mapping[str, Mapping[str, Values]]
    trainings: Mapping[str, Training]
    similarity: Mapping[str, NDArray[Any]] | None

    def evidence(self, stands_for: Mapping[str, str], titles: Mapping[str, str]) -> Evidence:
        """Of the panels that stand for the paper's data sets."""
        by_panel: tuple[Mapping[str, Any], ...] = (self.summaries, titles, self.controls, self.conservation)
        panels, names, controls, conservation = (
            {paper: values[panel] for paper, panel in stands_for.items()} for values in by_panel
        )
        trainings, specificity = self.trainings, self._specificity()
        return Evidence(panels, names, controls, conservation, trainings, specificity, self.seed)

    def _specificity(self) -> Values | None:
        """Method → similarity on the network without pooling."""
        table, found = self.similarity, {}
        if table is None:
            return None
        for explainer in np.unique(table["explainer"]):
            rows = (table["network"] == "no pooling") & (table["explainer"] == explainer)
            found[str(explainer)] = with_their_spread(table["similarity"][rows], table["label"][rows])
        return found


def read_measured(settings: "Settings") -> Measured:
    """All of a profile."""
    explainers, panels = settings.explainers, [Panel(name) for name in settings.panels]
    digits = DATA / "digits" / "similarity.parquet"
    return Measured(
        explainers=explainers,
        seed=settings.seed,
        summaries={p.name: _summary(p, explainers, settings.seed) for p in panels},
        controls={p.name: _controls(p, explainers) for p in panels},
        conservation={p.name: _conservation(p, explainers) for p in panels},
        truth={p.name: _truth(p, explainers) for p in panels},
        trainings={name: _training(name, own.title) for name, own in settings.checkpoints.items()},
        similarity=read_table(digits) if digits.exists() else None,
    )


def _summary(panel: Panel, explainers: Sequence[str], seed: int) -> Summary:
    for explainer in explainers:
        _require_of(panel, explainer, panel.curves_file(explainer))
    curves = {e: read_curves(panel.curves_file(e)) for e in explainers}
    return Summary(panel.name, curves, read_table(DATA / "complexity" / f"{panel.name}.parquet"), seed)


def _require_of(panel: Panel, explainer: str, file: Path) -> None:
    """A DamagedError unless curves are of the panel's heatmaps of the explainer."""
    if origin_of(file).get("heatmaps") != digest_of(maps := panel.heatmaps_file(explainer)):
        raise DamagedError(file, f"is not of the heatmaps in {maps}")


def _controls(panel: Panel, explainers: Sequence[str]) -> Controls:
    conditions = [c for c in sorted(panel.control_file("", "").parent.iterdir()) if any(c.glob("*.parquet"))]
    files = {condition.name: sorted(condition.glob("*.parquet")) for condition in conditions}
    for file in (f for found in files.values() for f in found if f.stem in explainers and f.stem != RANDOM):
        _require_of(panel, file.stem, file)
    return {name: {f.stem: next(iter(read_curves(f).values())) for f in found} for name, found in files.items()}


def _conservation(panel: Panel, explainers: Sequence[str]) -> Values:
    scores = panel.logits().astype(np.float64).max(axis=1)
    return {e: conserved_share(panel.heatmaps(e), scores) for e in explainers if e.startswith("lrp-")}


def _truth(panel: Panel, explainers: Sequence[str]) -> dict[str, Values]:
    """The mask's own share of the image is what a heatmap that knows nothing reaches."""
    if (masks := panel.dataset().masks) is None:
        return {}
    masks = np.asarray(masks)
    found: dict[str, Values] = {MASS: {}, POINTING: {}}
    for explainer in explainers:
        if explainer == RANDOM:
            found[MASS][RANDOM] = found[POINTING][RANDOM] = masks.mean(axis=(1, 2)).astype(np.float64)
            continue
        maps = np.asarray(panel.heatmaps(explainer))
        found[MASS][explainer] = relevance_mass(maps, masks)
        found[POINTING][explainer] = pointing_game(maps, masks)
    return found


def _training(name: str, title: str) -> Training:
    folder = DATA / "checkpoints" / name
    table, correct = read_table(folder / "aopc.parquet"), np.asarray(read_array(folder / "correct.npy").T)
    iterations = read_record(folder / "about.json")["iterations"]
    # Rows are written checkpoint by checkpoint, each with the same images.
    heatmap, random = (table[column].reshape(len(iterations), -1).T for column in ("aopc", "aopc_random"))
    return Training(title, heatmap, random, correct, iterations)
