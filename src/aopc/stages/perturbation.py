"""Stage: the perturbation curves of all explainers on one panel.

As with heatmaps, curves whose inputs and code are the same as in the last run are kept.
"""

import time
from contextlib import ExitStack
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
from aopc.tables import (
    file_hash,
    identity_hash,
    join_tables,
    metadata,
    read_array,
    table_origin,
)
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str) -> None:
    protocol = panel_protocol(params, panel)
    stored = StoredPanel(DATA / "panels" / panel)
    explainers = list(section(params, "explainers"))
    folder = DATA / "curves" / panel
    keep_only(folder, [f"{e}.parquet" for e in explainers])
    run.params = {"panel": panel, "explainers": explainers, **protocol.as_parameters()}
    inputs = [file_hash(f) for f in stored.files]
    missing: dict[str, dict[str, Any]] = {}
    for explainer in explainers:
        used = {
            "explainer": explainer,
            **protocol.as_parameters(),
            "inputs": [*inputs, file_hash(_maps_file(panel, explainer))],
            "removal_source": source_hash(protocol.removal),
        }
        written = table_origin(folder / f"{explainer}.parquet").get("identity")
        if written != identity_hash(used):
            missing[explainer] = used
    if missing:
        forwards, seconds = _compute(stored, missing, protocol, folder)
        run.metrics |= {"forwards": forwards, "forwards_per_second": forwards / seconds}
    for explainer in explainers:
        curves = read_curves(folder / f"{explainer}.parquet")
        _note(run, explainer, curves, protocol, params["seed"])


def _maps_file(panel: str, explainer: str) -> Path:
    return DATA / "heatmaps" / panel / explainer / "heatmaps.npy"


def _compute(
    stored: StoredPanel, missing: dict[str, dict[str, Any]], protocol: Protocol, folder: Path
) -> tuple[int, float]:
    """Write the curves of some explainers; returns how many forward passes it took, and seconds.

    ``missing`` has, by explainer, what determines its curves.
    """
    panel = stored.folder.name
    dataset, (model, preprocessing) = stored.dataset(), stored.network()
    maps = {e: read_array(_maps_file(panel, e)) for e in missing}
    targets = stored.targets()
    origins = {
        e: metadata({"panel": panel, "explainer": e, **protocol.as_parameters()})
        | {"identity": identity_hash(used)}
        for e, used in missing.items()
    }
    forwards, began = 0, time.perf_counter()
    with ExitStack() as stack:
        shard = {
            e: stack.enter_context(shards(CACHE / "shards", {"panel": panel, **used}))
            for e, used in missing.items()
        }
        progress = stack.enter_context(progress_bar(len(dataset), f"perturbation {panel}"))
        files: dict[str, list[Path]] = {e: [] for e in missing}
        for part in parts_of(len(dataset)):
            name = f"{part.start:06d}"
            wanted = [e for e in missing if name not in shard[e]]
            curves: dict[str, CurvesByOrder] = {}
            if wanted:
                curves = curves_of(
                    {e: np.asarray(maps[e][part]) for e in wanted},
                    model,
                    preprocessing.normalise(np.asarray(dataset.pixels[part])),
                    targets[part],
                    dataset.ids[part],
                    protocol,
                    preprocessing.value_range,
                    progress,
                )
            else:
                progress(len(dataset.ids[part]))
            for e in missing:

                def write(to: Path, e: str = e, curves: Any = curves) -> None:
                    write_curves(to / "curves.parquet", curves[e], origins[e])

                files[e].append(shard[e](name, write) / "curves.parquet")
            forwards += sum(c.forwards for found in curves.values() for c in found.values())
        for e in missing:
            join_tables(folder / f"{e}.parquet", files[e], origins[e])
    return forwards, time.perf_counter() - began


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
