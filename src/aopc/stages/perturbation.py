"""Stage: the perturbation curves of one explainer on one panel."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from aopc.explainers import RANDOM
from aopc.measures.bootstrap import bootstrap_mean
from aopc.measures.curves import aopc_curves
from aopc.progress import progress_bar
from aopc.protocol import Protocol, curves_of, read_curves, write_curves
from aopc.registry import source_hash
from aopc.settings import checked
from aopc.shards import shards
from aopc.stages.panel import StoredPanel, panel_settings
from aopc.stages.stage import CACHE, DATA, parts_of, section
from aopc.tables import file_hash, metadata, read_array
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str, explainer: str) -> None:
    protocol = checked(
        Protocol,
        "params.yaml: perturbation",
        section(params, "perturbation"),
        region_size=panel_settings(params, panel).region_size,
        seed=section(params, "seed"),
    )
    stored = StoredPanel(DATA / "panels" / panel)
    maps_file = DATA / "heatmaps" / panel / explainer / "heatmaps.npy"
    dataset, (model, preprocessing) = stored.dataset(), stored.network()
    maps, targets = read_array(maps_file), stored.targets()
    run.params = {"panel": panel, "explainer": explainer, **protocol.as_parameters()}
    origin = metadata(run.params)
    identity = {
        **run.params,
        "inputs": [file_hash(f) for f in (*stored.files, maps_file)],
        "removal_source": source_hash(protocol.removal),
    }
    per_image = len(protocol.orders_of(explainer))
    forwards, seconds = 0, 0.0
    with (
        shards(CACHE / "shards", identity) as shard,
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
        curves = read_curves(*files)
        write_curves(DATA / "curves" / panel / f"{explainer}.parquet", curves, origin)
    values = aopc_curves(curves["random" if explainer == RANDOM else protocol.orders[0]])
    interval = bootstrap_mean(values, seed=params["seed"])
    run.metrics = {
        "aopc": float(interval.mean[-1]),
        "aopc_low": float(interval.low[-1]),
        "aopc_high": float(interval.high[-1]),
        "images": interval.images,
    }
    if seconds:
        run.metrics["forwards_per_second"] = forwards / seconds
    run.curves = {"aopc_by_step": interval.mean.tolist()}
