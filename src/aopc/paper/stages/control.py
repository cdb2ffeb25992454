"""Stage ``controls``: one panel under other choices than the paper's, and what the paper lacks."""

from typing import TYPE_CHECKING

from aopc.base.provenance import metadata
from aopc.experiment.store import CURVES, keep_only, renew
from aopc.paper.folders import PARTS
from aopc.paper.jobs import control_job, files_below
from aopc.paper.panel import Panel

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings", panel: str) -> None:
    files = Panel(panel)
    job = control_job(settings, files)
    conditions = {condition.name: list(names) for condition, names in job.conditions}
    run.params = {"panel": panel, "conditions": conditions, "images": len(job.ids)}
    files.control_file("", "").parent.mkdir(parents=True, exist_ok=True)
    for folder, names in files_below(job, files).items():
        keep_only(folder, names)
    renew(
        job,
        CURVES,
        lambda unit: files.control_file(unit.condition, unit.explainer),
        lambda unit: {
            **metadata(
                {**run.params, "explainer": unit.explainer}, __name__, unit.explainer, job.protocol_of(unit).removal
            ),
            **({"heatmaps": job.maps[unit.explainer][1]} if unit.explainer in job.maps else {}),
        },
        PARTS,
    )
