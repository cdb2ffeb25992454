"""Stage: the measures with their intervals, the figures, and the table of results."""

from typing import Any

from aopc.figures.figure4 import draw_figure4
from aopc.figures.results import results_table
from aopc.figures.style import save_figure
from aopc.figures.table1 import draw_table1
from aopc.measures.summary import Panel, write_panels
from aopc.protocol import read_curves
from aopc.stages.stage import DATA, REPORTS, section
from aopc.tables import atomic, read_table
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
    titles = {name: panel["title"] for name, panel in settings.items()}
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
    names = ("figures/figure4", "figures/table1")
    run.artifacts = [str(REPORTS / f"{n}.{s}") for n in names for s in ("png", "pdf")]
    files = ("metrics.json", "figure4.csv", "paired_differences.csv", "results.md")
    run.artifacts += [str(REPORTS / name) for name in files]
