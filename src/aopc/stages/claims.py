"""Stage: the measures with their intervals, and the verdicts on the paper's claims."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.claims import Evidence, Training, judge
from aopc.explainers import RANDOM
from aopc.figures.figure7 import figure7_table
from aopc.measures.choices import MASS, POINTING, choices_of, spatial_rows
from aopc.measures.correlation import rank_correlation
from aopc.measures.ground_truth import pointing_game, relevance_mass
from aopc.measures.specificity import with_their_spread
from aopc.measures.summary import Panel, Table, joined, write_panels
from aopc.perturbation.engine import Curves
from aopc.protocol import read_curves
from aopc.stages.panel import (
    StoredPanel,
    checkpoint_settings,
    panel_settings,
    panels_of_the_paper,
)
from aopc.stages.stage import DATA, REPORTS, section
from aopc.tables import read_array, read_json, read_table, write_csv, write_json
from aopc.tracking.journal import StageRun

#: The files that this stage writes to reports/.
FILES = (
    "metrics.json",
    "checkpoints.json",
    "claims.json",
    "paired_differences.csv",
    "figure2.csv",
    "figure3.csv",
    "figure4.csv",
    "figure5.csv",
    "figure7.csv",
    "choices.csv",
    "agreement.csv",
    "further.csv",
    "spatial.csv",
    "ground_truth.csv",
)

Controls = dict[str, dict[str, Curves]]


def work(run: StageRun, params: dict[str, Any]) -> None:
    seed = params["seed"]
    explainers = list(section(params, "explainers"))
    settings = {name: panel_settings(params, name) for name in section(params, "panels")}
    panels = {
        name: Panel(
            name=name,
            curves={e: read_curves(DATA / "curves" / name / f"{e}.parquet") for e in explainers},
            complexity=read_table(DATA / "complexity" / f"{name}.parquet"),
            seed=seed,
        )
        for name in settings
    }
    write_panels(list(panels.values()), REPORTS)
    metrics = {name: panel.metrics() for name, panel in panels.items()}
    run.params = {"panels": list(settings), "explainers": explainers, "seed": seed}
    run.metrics = {
        f"{panel}/{explainer}/{measure}": float(value)
        for panel, by_explainer in metrics.items()
        for explainer, found in by_explainer.items()
        for measure, value in found.items()
    }
    controls = {name: _controls(DATA / "controls" / name) for name in panels}
    conservation = {name: _conservation(name, explainers) for name in panels}
    trainings = {name: _training(params, name) for name in section(params, "checkpoints")}
    _write_checkpoints(run, trainings, seed)
    specificity = _specificity()
    _write_choices(panels, controls, explainers)
    _write_figure_data(panels, conservation, explainers)

    for_paper = panels_of_the_paper(params)
    verdicts = judge(
        Evidence(
            panels={paper: panels[name] for paper, name in for_paper.items()},
            titles={paper: settings[name].title for paper, name in for_paper.items()},
            controls={paper: controls[name] for paper, name in for_paper.items()},
            conservation={paper: conservation[name] for paper, name in for_paper.items()},
            trainings={name: training for name, (training, _) in trainings.items()},
            specificity=specificity,
            seed=seed,
        )
    )
    write_json(REPORTS / "claims.json", verdicts)
    for name, found in verdicts.items():
        run.params[name] = found["verdict"]
        if found["effect"] is not None:
            run.metrics[f"{name}/effect"] = found["effect"]
        print(f"{name}: {found['verdict']} — {found['reading']}")
    run.artifacts += [str(REPORTS / name) for name in FILES]


def _controls(folder: Path) -> Controls:
    """Condition → explainer → curves."""
    return {
        condition.name: {
            file.stem: next(iter(read_curves(file).values()))
            for file in sorted(condition.glob("*.parquet"))
        }
        for condition in sorted(folder.iterdir())
    }


def _conservation(panel: str, explainers: list[str]) -> dict[str, NDArray[np.float64]]:
    """Explainer → Σ_p h_p / f(x) of each image, for LRP."""
    logits = np.asarray(read_array(DATA / "panels" / panel / "logits.npy"), dtype=np.float64)
    scores = logits.max(axis=1)
    found = {}
    for explainer in explainers:
        if explainer.startswith("lrp-"):
            maps = read_array(DATA / "heatmaps" / panel / explainer / "heatmaps.npy")
            sums = np.array([np.asarray(h, dtype=np.float64).sum() for h in maps])
            found[explainer] = sums / np.where(scores == 0, np.nan, scores)
    return found


def _training(params: dict[str, Any], name: str) -> tuple[Training, list[int]]:
    """What Figure 7 shows, and the checkpoints' iterations."""
    folder = DATA / "checkpoints" / name
    table, correct = read_table(folder / "aopc.parquet"), read_array(folder / "correct.npy").T
    iterations = read_json(folder / "about.json")["iterations"]
    # Rows are written checkpoint by checkpoint, each with the same images.
    heatmap, random = (
        table[column].reshape(len(iterations), -1).T for column in ("aopc", "aopc_random")
    )
    title = checkpoint_settings(params, name).title
    return Training(title, heatmap, random, np.asarray(correct)), iterations


def _write_checkpoints(
    run: StageRun, trainings: dict[str, tuple[Training, list[int]]], seed: int
) -> None:
    numbers: dict[str, dict[str, float]] = {}
    tables: list[Table] = []
    for name, (training, iterations) in trainings.items():
        found = rank_correlation(training.heatmap, training.correct, seed=seed)
        relative = rank_correlation(training.heatmap - training.random, training.correct, seed=seed)
        numbers[name] = {
            **{k: getattr(found, k) for k in ("rho", "low", "high")},
            **{f"relative_{k}": getattr(relative, k) for k in ("rho", "low", "high")},
            "checkpoints": found.points,
            "images": len(training.heatmap),
            "test_images": len(training.correct),
        }
        run.metrics |= {f"{name}/{k}": v for k, v in numbers[name].items()}
        rows = figure7_table(iterations, training.heatmap, training.random, training.correct, seed)
        tables.append({"data_set": [name] * len(iterations), **rows})
    write_json(REPORTS / "checkpoints.json", numbers)
    write_csv(REPORTS / "figure7.csv", joined(tables) if tables else {"data_set": []})


def _specificity() -> dict[str, NDArray[np.float64]] | None:
    """Method → similarity on the network without pooling; None where there are no digits."""
    path = DATA / "digits" / "similarity.parquet"
    if not path.exists():
        write_csv(REPORTS / "figure3.csv", {"network": []})
        return None
    table = read_table(path)
    write_csv(REPORTS / "figure3.csv", {k: v.tolist() for k, v in table.items()})
    plain = table["network"] == "no pooling"
    found = {}
    for explainer in np.unique(table["explainer"]):
        rows = plain & (table["explainer"] == explainer)
        found[str(explainer)] = with_their_spread(table["similarity"][rows], table["label"][rows])
    return found


def _write_choices(
    panels: dict[str, Panel], controls: dict[str, Controls], explainers: list[str]
) -> None:
    means: list[dict[str, Any]] = []
    agreement: list[dict[str, Any]] = []
    further: list[dict[str, Any]] = []
    spatial: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    for name, panel in panels.items():
        known = _ground_truth(name, explainers)
        choices = choices_of(panel, controls[name], known)
        means += choices.means(explainers)
        agreement += choices.agreement(explainers)
        further += choices.against_further(explainers)
        if "spatial" in controls[name]:
            spatial += spatial_rows(panel, controls[name]["spatial"], choices)
        if known:
            whole = choices_of(panel, {}, known)
            truth += [r for r in whole.means(explainers) if r["choice"] in (MASS, POINTING)]
            agreement += [
                {**r, "choice": f"{r['choice']}, all images"}
                for r in whole.agreement(explainers)
                if r["choice"] in (MASS, POINTING)
            ]
    for file, rows in (
        ("choices.csv", means),
        ("agreement.csv", agreement),
        ("further.csv", further),
        ("spatial.csv", spatial),
        ("ground_truth.csv", truth),
    ):
        columns = list(rows[0]) if rows else ["data_set"]
        write_csv(REPORTS / file, {c: [row[c] for row in rows] for c in columns})


def _ground_truth(panel: str, explainers: list[str]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Measure → explainer → (N,), for a panel whose masks are known; the mask's own share of the
    image is what a heatmap that knows nothing reaches.
    """
    masks = StoredPanel(DATA / "panels" / panel).dataset().masks
    if masks is None:
        return {}
    masks = np.asarray(masks)
    found: dict[str, dict[str, NDArray[np.float64]]] = {MASS: {}, POINTING: {}}
    for explainer in explainers:
        if explainer == RANDOM:
            share = masks.mean(axis=(1, 2)).astype(np.float64)
            found[MASS][RANDOM] = found[POINTING][RANDOM] = share
            continue
        maps = np.asarray(read_array(DATA / "heatmaps" / panel / explainer / "heatmaps.npy"))
        found[MASS][explainer] = relevance_mass(maps, masks)
        found[POINTING][explainer] = pointing_game(maps, masks)
    return found


def _write_figure_data(
    panels: dict[str, Panel],
    conservation: dict[str, dict[str, NDArray[np.float64]]],
    explainers: list[str],
) -> None:
    ratios: Table = {k: [] for k in ("data_set", "explainer", "image", "sum_over_score")}
    sizes: Table = {
        k: [] for k in ("data_set", "explainer", "image", "entropy", "png_kb", "jpeg_kb", "zero")
    }
    for name, panel in panels.items():
        images = panel.curves[RANDOM]["random"].image_ids
        for explainer, values in conservation[name].items():
            ratios["data_set"] += [name] * len(values)
            ratios["explainer"] += [explainer] * len(values)
            ratios["image"] += images
            ratios["sum_over_score"] += values.tolist()
        table = panel.complexity
        sizes["data_set"] += [name] * len(table["image"])
        for column in list(sizes)[1:]:
            sizes[column] += table[column].tolist()
    write_csv(REPORTS / "figure2.csv", ratios)
    write_csv(REPORTS / "figure5.csv", sizes)
