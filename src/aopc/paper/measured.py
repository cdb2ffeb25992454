"""What the stages of a profile measured, read from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.files import read_array, read_json, read_table
from aopc.experiment.store import read_curves
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


@dataclass(frozen=True)
class Measured:
    """Attributes
    ----------
    explainers, seed
        Of params.yaml.
    summaries, controls
        By panel.
    conservation
        By panel: LRP explainer → Σ_p h_p / f(x) of each image.
    truth
        By panel: measure → explainer → (N,), where masks are known.
    trainings
        By data set; with ``iterations``, those of its checkpoints.
    similarity
        Of the digits' heatmaps, None where there are none.
    """

    explainers: Sequence[str]
    seed: int
    summaries: Mapping[str, Summary]
    controls: Mapping[str, Controls]
    conservation: Mapping[str, Mapping[str, NDArray[np.float64]]]
    truth: Mapping[str, Mapping[str, Mapping[str, NDArray[np.float64]]]]
    trainings: Mapping[str, Training]
    iterations: Mapping[str, Sequence[int]]
    similarity: Mapping[str, NDArray[Any]] | None

    def evidence(self, stands_for: Mapping[str, str], titles: Mapping[str, str]) -> Evidence:
        """Of the panels that stand for the paper's data sets."""

        def chosen(by_panel: Mapping[str, Any]) -> dict[str, Any]:
            return {paper: by_panel[name] for paper, name in stands_for.items()}

        return Evidence(
            panels=chosen(self.summaries),
            titles=chosen(titles),
            controls=chosen(self.controls),
            conservation=chosen(self.conservation),
            trainings=self.trainings,
            specificity=self._specificity(),
            seed=self.seed,
        )

    def _specificity(self) -> dict[str, NDArray[np.float64]] | None:
        """Method → similarity on the network without pooling."""
        table = self.similarity
        if table is None:
            return None
        plain, found = table["network"] == "no pooling", {}
        for explainer in np.unique(table["explainer"]):
            rows = plain & (table["explainer"] == explainer)
            values, labels = table["similarity"][rows], table["label"][rows]
            found[str(explainer)] = with_their_spread(values, labels)
        return found


def read_measured(settings: "Settings") -> Measured:
    """All of a profile."""
    explainers, panels = settings.explainers, [Panel(name) for name in settings.panels]
    trainings = {n: _training(n, c.title) for n, c in settings.checkpoints.items()}
    digits = DATA / "digits" / "similarity.parquet"
    return Measured(
        explainers=explainers,
        seed=settings.seed,
        summaries={p.name: _summary(p, explainers, settings.seed) for p in panels},
        controls={p.name: _controls(p) for p in panels},
        conservation={p.name: _conservation(p, explainers) for p in panels},
        truth={p.name: _truth(p, explainers) for p in panels},
        trainings={name: training for name, (training, _) in trainings.items()},
        iterations={name: points for name, (_, points) in trainings.items()},
        similarity=read_table(digits) if digits.exists() else None,
    )


def _summary(panel: Panel, explainers: Sequence[str], seed: int) -> Summary:
    curves = {e: read_curves(panel.curves_file(e)) for e in explainers}
    complexity = read_table(DATA / "complexity" / f"{panel.name}.parquet")
    return Summary(panel.name, curves, complexity, seed)


def _controls(panel: Panel) -> Controls:
    folder = panel.control_file("", "").parent
    return {
        condition.name: {
            file.stem: next(iter(read_curves(file).values()))
            for file in sorted(condition.glob("*.parquet"))
        }
        for condition in sorted(folder.iterdir())
    }


def _conservation(panel: Panel, explainers: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    scores = panel.logits().astype(np.float64).max(axis=1)
    found = {}
    for explainer in explainers:
        if explainer.startswith("lrp-"):
            maps = panel.heatmaps(explainer)
            sums = np.array([np.asarray(h, dtype=np.float64).sum() for h in maps])
            found[explainer] = sums / np.where(scores == 0, np.nan, scores)
    return found


def _truth(panel: Panel, explainers: Sequence[str]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The mask's own share of the image is what a heatmap that knows nothing reaches."""
    masks = panel.dataset().masks
    if masks is None:
        return {}
    masks = np.asarray(masks)
    found: dict[str, dict[str, NDArray[np.float64]]] = {MASS: {}, POINTING: {}}
    for explainer in explainers:
        if explainer == RANDOM:
            share = masks.mean(axis=(1, 2)).astype(np.float64)
            found[MASS][RANDOM] = found[POINTING][RANDOM] = share
            continue
        maps = np.asarray(panel.heatmaps(explainer))
        found[MASS][explainer] = relevance_mass(maps, masks)
        found[POINTING][explainer] = pointing_game(maps, masks)
    return found


def _training(name: str, title: str) -> tuple[Training, list[int]]:
    folder = DATA / "checkpoints" / name
    table, correct = read_table(folder / "aopc.parquet"), read_array(folder / "correct.npy").T
    iterations = read_json(folder / "about.json")["iterations"]
    # Rows are written checkpoint by checkpoint, each with the same images.
    heatmap, random = (
        table[column].reshape(len(iterations), -1).T for column in ("aopc", "aopc_random")
    )
    return Training(title, heatmap, random, np.asarray(correct)), iterations
