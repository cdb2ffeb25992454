"""Stage ``heatmaps``: those of all explainers on one panel; what is still right is kept."""

import time
from typing import TYPE_CHECKING

from aopc.experiment.explaining import HeatmapWork
from aopc.experiment.store import HEATMAPS, keep_only, renew
from aopc.explainers.registry import get_explainers
from aopc.paper.folders import PART_IMAGES, PARTS
from aopc.paper.notes import on_heatmaps
from aopc.paper.panel import Panel
from aopc.paper.subjects import subject_of

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings", panel: str) -> None:
    files, explainers = Panel(panel), settings.explainers
    get_explainers(explainers)
    keep_only(files.heatmaps_file(explainers[0]).parents[1], explainers)
    run.params = {"panel": panel, "explainers": list(explainers)}
    wanted, started = HeatmapWork(subject_of(settings, files), explainers, PART_IMAGES), time.perf_counter()
    computed = renew(
        wanted,
        HEATMAPS,
        lambda unit: files.heatmaps_file(unit.explainer),
        lambda unit: on_heatmaps(run, files, unit.explainer, wanted.ids, __name__),
        PARTS,
    )
    if computed:
        seconds = time.perf_counter() - started
        run.metrics["heatmaps_per_second"] = len(computed) * len(wanted.ids) / seconds
