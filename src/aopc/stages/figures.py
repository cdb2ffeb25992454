"""Stage: the measures with their intervals, the figures, and the table of results."""

from typing import Any

import numpy as np

from aopc.datasets.dataset import Dataset
from aopc.figures.figure4 import draw_figure4
from aopc.figures.figure7 import draw_figure7, figure7_table
from aopc.figures.results import results_table
from aopc.figures.style import save_figure
from aopc.figures.table1 import draw_table1
from aopc.measures.correlation import rank_correlation
from aopc.measures.summary import Panel, Table, joined, write_panels
from aopc.protocol import read_curves
from aopc.stages.panel import checkpoint_settings, panel_settings
from aopc.stages.stage import DATA, REPORTS, section
from aopc.tables import atomic, read_array, read_json, read_table, write_csv, write_json
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    explainers = list(section(params, "explainers"))
    settings = section(params, "panels")
    panels = [
        Panel(
            name=name,
            curves={e: read_curves(DATA / "curves" / name / f"{e}.parquet") for e in explainers},
            complexity=read_table(DATA / "complexity" / f"{name}.parquet"),
            seed=params["seed"],
        )
        for name in settings
    ]
    relative = write_panels(panels, REPORTS)
    metrics = {panel.name: panel.metrics() for panel in panels}
    titles = {name: panel_settings(params, name).title for name in settings}
    save_figure(draw_figure4(relative, titles), REPORTS / "figures" / "figure4")
    save_figure(draw_table1(metrics, explainers), REPORTS / "figures" / "table1")
    with atomic(REPORTS / "results.md") as path:
        path.write_text(results_table(metrics), encoding="utf-8")
    run.params = {"panels": list(settings), "explainers": explainers, "seed": params["seed"]}
    run.metrics = {
        f"{panel}/{explainer}/{measure}": float(value)
        for panel, by_explainer in metrics.items()
        for explainer, found in by_explainer.items()
        for measure, value in found.items()
    }
    names = ["figures/figure4", "figures/table1"]
    correlations, trainings = {}, []
    for name in section(params, "checkpoints"):
        title = checkpoint_settings(params, name).title
        correlations[name], rows = _figure7(name, title, params["seed"])
        trainings.append({"data_set": [name] * len(rows["iteration"]), **rows})
        names.append(f"figures/figure7-{name}")
        run.metrics |= {f"{name}/{k}": v for k, v in correlations[name].items()}
    write_json(REPORTS / "checkpoints.json", correlations)
    write_csv(REPORTS / "figure7.csv", joined(trainings) if trainings else {"data_set": []})
    run.artifacts += [str(REPORTS / f"{n}.{s}") for n in names for s in ("png", "pdf")]
    files = (
        "metrics.json",
        "checkpoints.json",
        "figure4.csv",
        "figure7.csv",
        "paired_differences.csv",
        "results.md",
    )
    run.artifacts += [str(REPORTS / name) for name in files]


def _figure7(name: str, title: str, seed: int) -> tuple[dict[str, float], Table]:
    """Draw it; returns the rank correlation, and the figure's data."""
    folder = DATA / "checkpoints" / name
    table, correct = read_table(folder / "aopc.parquet"), read_array(folder / "correct.npy").T
    iterations = read_json(folder / "about.json")["iterations"]
    # Rows are written checkpoint by checkpoint, each with the same images.
    heatmap, random = (
        table[column].reshape(len(iterations), -1).T for column in ("aopc", "aopc_random")
    )
    data = figure7_table(iterations, heatmap, random, correct, seed)
    found = rank_correlation(heatmap, correct, seed=seed)
    relative = rank_correlation(heatmap - random, correct, seed=seed)
    maps = read_array(folder / "heatmaps.npy")
    image = np.asarray(Dataset.load(folder / "shown").pixels[0])
    figure = draw_figure7(data, found, image, np.asarray(maps[:, 0]), title)
    save_figure(figure, REPORTS / "figures" / f"figure7-{name}")
    numbers: dict[str, float] = {
        **{k: getattr(found, k) for k in ("rho", "low", "high")},
        **{f"relative_{k}": getattr(relative, k) for k in ("rho", "low", "high")},
        "checkpoints": found.points,
        "images": len(heatmap),
        "test_images": len(correct),
    }
    return numbers, data
