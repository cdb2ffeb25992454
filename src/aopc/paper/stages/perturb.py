"""Stage ``perturbation``: the curves of all explainers on one panel; what is still right is kept."""

import time
from typing import TYPE_CHECKING

from aopc.base.provenance import metadata
from aopc.experiment.store import CURVES, keep_only, read_curves, renew
from aopc.paper.folders import PARTS
from aopc.paper.jobs import main_job
from aopc.paper.notes import on_curves
from aopc.paper.panel import Panel

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings", panel: str) -> None:
    files, started = Panel(panel), time.perf_counter()
    used = {"panel": panel, **settings.protocol(panel).as_parameters()}
    run.params = {**used, "explainers": list(settings.explainers)}
    keep_only(files.curves_file("").parent, [f"{e}.parquet" for e in settings.explainers])
    job = main_job(settings, files)
    computed = renew(
        job,
        CURVES,
        lambda unit: files.curves_file(unit.explainer),
        lambda unit: {
            **metadata({**used, "explainer": unit.explainer}, __name__, unit.explainer, job.protocol.removal),
            "heatmaps": job.maps[unit.explainer][1],
        },
        PARTS,
    )
    seconds, forwards = time.perf_counter() - started, 0
    for unit in job.units:
        curves = read_curves(files.curves_file(unit.explainer))
        on_curves(run, unit.explainer, next(iter(curves.values())), settings.seed)
        forwards += sum(c.forwards for c in curves.values()) if unit in computed else 0
    if computed:
        run.metrics |= {"forwards": forwards, "forwards_per_second": forwards / seconds}
