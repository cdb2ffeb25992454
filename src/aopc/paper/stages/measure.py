"""Stage ``complexity``: entropy and file size of all heatmaps, in a process for each core."""

from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from aopc.base.files import concatenated, write_table
from aopc.base.provenance import metadata
from aopc.measures.complexity import complexity_columns
from aopc.paper.folders import DATA
from aopc.paper.panel import Panel

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    run.params = {"rendering": settings.rendering}
    jobs = [(p, e, settings.rendering) for p in settings.panels for e in settings.explainers]
    with ProcessPoolExecutor() as pool:
        tables = dict(zip(jobs, pool.map(_measured, jobs), strict=True))
    for (panel, explainer, _), columns in tables.items():
        run.metrics[f"{panel}/{explainer}_entropy"] = float(np.nanmean(columns["entropy"]))
    for panel in settings.panels:
        whole = concatenated([table for (p, _, _), table in tables.items() if p == panel])
        origin = metadata({"panel": panel, "rendering": settings.rendering}, __name__)
        write_table(DATA / "complexity" / f"{panel}.parquet", whole, origin)


def _measured(job: tuple[str, str, str]) -> dict[str, Any]:
    """The columns of one explainer's heatmaps on one panel."""
    panel, explainer, rendering = job
    maps, ids = np.asarray(Panel(panel).heatmaps(explainer)), Panel(panel).dataset().ids
    columns = complexity_columns(explainer, maps, ids, rendering)
    return {name: np.array(values) for name, values in columns.items()}
