"""Stage: the heatmaps of all explainers on one panel.

DVC leaves the last run's heatmaps where they are, and those whose inputs and code are the same are
not computed again: a new explainer costs its own heatmaps only.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from aopc.explainers import get_explainer, heatmaps, listed
from aopc.measures.complexity import zero_heatmaps
from aopc.progress import progress_bar
from aopc.registry import source_hash
from aopc.stages.panel import StoredPanel
from aopc.stages.stage import DATA, keep_only, parts_of, section
from aopc.tables import file_hash, identity_hash, metadata, read_json, write_array, write_json
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str) -> None:
    stored = StoredPanel(DATA / "panels" / panel)
    explainers = list(section(params, "explainers"))
    for explainer in explainers:
        get_explainer(explainer)
    inputs = [file_hash(f) for f in stored.files]
    folder = DATA / "heatmaps" / panel
    keep_only(folder, explainers)
    run.params = {"panel": panel, "explainers": explainers}
    with progress_bar(len(explainers) * len(stored.targets()), f"heatmaps {panel}") as progress:
        for explainer in explainers:
            identity = identity_hash(
                {"explainer": explainer, "inputs": inputs, "source": source_hash(explainer)}
            )
            if _is_there(folder / explainer, identity):
                progress(len(stored.targets()))
            else:
                _compute(run, stored, explainer, identity, folder / explainer, progress)


def _is_there(folder: Path, identity: str) -> bool:
    about = folder / "about.json"
    whole = about.is_file() and (folder / "heatmaps.npy").is_file()
    return whole and read_json(about).get("identity") == identity


def _compute(
    run: StageRun, stored: StoredPanel, explainer: str, identity: str, folder: Path, progress: Any
) -> None:
    dataset, (model, preprocessing), targets = stored.dataset(), stored.network(), stored.targets()
    computed = []
    started = time.perf_counter()
    for part in parts_of(len(dataset)):
        images = preprocessing.normalise(np.asarray(dataset.pixels[part]))
        ids = dataset.ids[part]
        computed.append(
            heatmaps(model, images, explainer, targets[part], image_ids=ids, allow_nonfinite=True)
        )
        progress(len(images))
    maps = np.concatenate(computed)
    seconds = time.perf_counter() - started
    run.metrics[f"{explainer}/heatmaps_per_second"] = len(maps) / seconds
    unusable = {"zero": zero_heatmaps(maps), "nonfinite": ~np.isfinite(maps).all(axis=(1, 2))}
    about: dict[str, Any] = metadata({"panel": stored.folder.name, "explainer": explainer})
    about["identity"] = identity
    for kind, flags in unusable.items():
        about[kind] = [dataset.ids[i] for i in np.flatnonzero(flags)]
        run.metrics[f"{explainer}/{kind}_heatmaps"] = int(flags.sum())
        if flags.any():
            print(
                f"aopc: {flags.sum()} of {len(maps)} heatmaps of {explainer} on {stored.folder.name}"
                f" are {kind}: {listed(about[kind])}",
                file=sys.stderr,
            )
    (folder / "about.json").unlink(missing_ok=True)
    write_array(folder / "heatmaps.npy", maps)
    write_json(folder / "about.json", about)
