"""Stage: the heatmaps of all explainers on one panel.

DVC leaves the last run's heatmaps where they are, and those whose inputs and code are the same are
not computed again: a new explainer costs its own heatmaps only.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aopc.explainers import get_explainer, heatmaps_of, listed
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
    identities = {
        e: identity_hash({"explainer": e, "inputs": inputs, "source": source_hash(e)})
        for e in explainers
    }
    missing = {e: i for e, i in identities.items() if not _is_there(folder / e, i)}
    if missing:
        _compute(run, stored, missing, folder)


def _is_there(folder: Path, identity: str) -> bool:
    about = folder / "about.json"
    whole = about.is_file() and (folder / "heatmaps.npy").is_file()
    return whole and read_json(about).get("identity") == identity


def _compute(run: StageRun, stored: StoredPanel, missing: dict[str, str], folder: Path) -> None:
    """Write the heatmaps of some explainers, given by name with their identities."""
    dataset, (model, preprocessing), targets = stored.dataset(), stored.network(), stored.targets()
    computed: dict[str, list[np.ndarray]] = {e: [] for e in missing}
    started = time.perf_counter()
    with progress_bar(len(dataset), f"heatmaps {stored.folder.name}") as progress:
        for part in parts_of(len(dataset)):
            images = preprocessing.normalise(np.asarray(dataset.pixels[part]))
            found = heatmaps_of(
                model,
                images,
                list(missing),
                targets[part],
                image_ids=dataset.ids[part],
                allow_nonfinite=True,
            )
            for explainer, maps in found.items():
                computed[explainer].append(maps)
            progress(len(images))
    seconds = time.perf_counter() - started
    run.metrics["heatmaps_per_second"] = len(missing) * len(dataset) / seconds
    for explainer, identity in missing.items():
        maps = np.concatenate(computed[explainer])
        _write(run, stored, explainer, identity, maps, dataset.ids, folder / explainer)


def _write(
    run: StageRun,
    stored: StoredPanel,
    explainer: str,
    identity: str,
    maps: np.ndarray,
    ids: Sequence[str],
    folder: Path,
) -> None:
    unusable = {"zero": zero_heatmaps(maps), "nonfinite": ~np.isfinite(maps).all(axis=(1, 2))}
    about: dict[str, Any] = metadata({"panel": stored.folder.name, "explainer": explainer})
    about["identity"] = identity
    for kind, flags in unusable.items():
        about[kind] = [ids[int(i)] for i in np.flatnonzero(flags)]
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
