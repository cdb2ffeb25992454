"""Stage: the heatmaps of one explainer on one panel."""

import sys
import time
from typing import Any

import numpy as np

from aopc.explainers import heatmaps, listed
from aopc.measures.complexity import zero_heatmaps
from aopc.progress import progress_bar
from aopc.stages.panel import StoredPanel
from aopc.stages.stage import DATA, parts_of
from aopc.tables import metadata, write_array, write_json
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str, explainer: str) -> None:
    stored = StoredPanel(DATA / "panels" / panel)
    dataset, (model, preprocessing), targets = stored.dataset(), stored.network(), stored.targets()
    computed = []
    started = time.perf_counter()
    with progress_bar(len(dataset), f"{panel} {explainer}") as progress:
        for part in parts_of(len(dataset)):
            images = preprocessing.normalise(np.asarray(dataset.pixels[part]))
            ids = dataset.ids[part]
            computed.append(
                heatmaps(
                    model, images, explainer, targets[part], image_ids=ids, allow_nonfinite=True
                )
            )
            progress(len(images))
    maps = np.concatenate(computed)
    seconds = time.perf_counter() - started
    unusable = {"zero": zero_heatmaps(maps), "nonfinite": ~np.isfinite(maps).all(axis=(1, 2))}
    run.params = {"panel": panel, "explainer": explainer}
    run.metrics = {"images": len(maps), "heatmaps_per_second": len(maps) / seconds}
    about: dict[str, Any] = metadata(run.params)
    for kind, flags in unusable.items():
        about[kind] = [dataset.ids[i] for i in np.flatnonzero(flags)]
        run.metrics[f"{kind}_heatmaps"] = int(flags.sum())
        if flags.any():
            print(
                f"aopc: {flags.sum()} of {len(maps)} heatmaps of {explainer} on {panel} are {kind}:"
                f" {listed(about[kind])}",
                file=sys.stderr,
            )
    folder = DATA / "heatmaps" / panel / explainer
    write_array(folder / "heatmaps.npy", maps)
    write_json(folder / "about.json", about)
