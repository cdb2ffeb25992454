"""Stage: the perturbation curves of all explainers on one panel.

As with heatmaps, curves whose inputs and code are the same as in the last run are kept.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from aopc.explainers import RANDOM
from aopc.measures.bootstrap import bootstrap_mean
from aopc.measures.curves import aopc_curves
from aopc.progress import progress_bar
from aopc.protocol import CurvesByOrder, Protocol, curves_of, read_curves, write_curves
from aopc.registry import source_hash
from aopc.shards import shards
from aopc.stages.panel import StoredPanel, panel_protocol
from aopc.stages.stage import CACHE, DATA, keep_only, parts_of, section
from aopc.tables import file_hash, identity_hash, metadata, read_array, table_origin
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str) -> None:
    protocol = panel_protocol(params, panel)
    stored = StoredPanel(DATA / "panels" / panel)
    explainers = list(section(params, "explainers"))
    folder = DATA / "curves" / panel
    keep_only(folder, [f"{e}.parquet" for e in explainers])
    run.params = {"panel": panel, "explainers": explainers, **protocol.as_parameters()}
    inputs = [file_hash(f) for f in stored.files]
    forwards, seconds = 0, 0.0
    for explainer in explainers:
        maps_file = DATA / "heatmaps" / panel / explainer / "heatmaps.npy"
        used = {
            "explainer": explainer,
            **protocol.as_parameters(),
            "inputs": [*inputs, file_hash(maps_file)],
            "removal_source": source_hash(protocol.removal),
        }
        path = folder / f"{explainer}.parquet"
        if table_origin(path).get("identity") != identity_hash(used):
            done, taken = _compute(stored, explainer, maps_file, protocol, used, path)
            forwards, seconds = forwards + done, seconds + taken
        _note(run, explainer, read_curves(path), protocol, params["seed"])
    if seconds:
        run.metrics |= {"forwards": forwards, "forwards_per_second": forwards / seconds}


def _compute(
    stored: StoredPanel,
    explainer: str,
    maps_file: Path,
    protocol: Protocol,
    used: dict[str, Any],
    path: Path,
) -> tuple[int, float]:
    """Write the curves; returns how many forward passes it took, and how many seconds."""
    panel = stored.folder.name
    dataset, (model, preprocessing) = stored.dataset(), stored.network()
    maps, targets = read_array(maps_file), stored.targets()
    origin = metadata({"panel": panel, "explainer": explainer, **protocol.as_parameters()})
    origin["identity"] = identity_hash(used)
    per_image = len(protocol.orders_of(explainer))
    forwards, seconds = 0, 0.0
    with (
        shards(CACHE / "shards", {"panel": panel, **used}) as shard,
        progress_bar(len(dataset), f"{panel} {explainer}") as progress,
    ):
        files = []
        for part in parts_of(len(dataset)):

            def compute(folder: Path, part: slice = part) -> None:
                nonlocal forwards, seconds
                began = time.perf_counter()
                curves = curves_of(
                    explainer,
                    model,
                    preprocessing.normalise(np.asarray(dataset.pixels[part])),
                    np.asarray(maps[part]),
                    targets[part],
                    dataset.ids[part],
                    protocol,
                    preprocessing.value_range,
                    lambda count: progress(count / per_image),
                )
                seconds += time.perf_counter() - began
                forwards += sum(c.forwards for c in curves.values())
                write_curves(folder / "curves.parquet", curves, origin)

            files.append(shard(f"{part.start:06d}", compute) / "curves.parquet")
        write_curves(path, read_curves(*files), origin)
    return forwards, seconds


def _note(
    run: StageRun, explainer: str, curves: CurvesByOrder, protocol: Protocol, seed: int
) -> None:
    """The explainer's AOPC for MLflow."""
    values = aopc_curves(curves["random" if explainer == RANDOM else protocol.orders[0]])
    interval = bootstrap_mean(values, seed=seed)
    run.curves[f"{explainer}/aopc_by_step"] = interval.mean.tolist()
    for name in ("mean", "low", "high"):
        label = "aopc" if name == "mean" else f"aopc_{name}"
        run.metrics[f"{explainer}/{label}"] = float(getattr(interval, name)[-1])
