"""Stage: entropy and file size of all heatmaps, in a process for each core."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from aopc.measures.complexity import complexity_columns
from aopc.stages.stage import DATA, section
from aopc.tables import concatenated, metadata, read_array, read_json, write_table
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    rendering = section(params, "complexity", "rendering")
    run.params = {"rendering": rendering}
    explainers = list(section(params, "explainers"))
    with ProcessPoolExecutor() as pool:
        coming = {
            panel: [pool.submit(_measured, panel, e, rendering) for e in explainers]
            for panel in section(params, "panels")
        }
        for panel, futures in coming.items():
            tables = [future.result() for future in futures]
            for explainer, columns in zip(explainers, tables, strict=True):
                mean = float(np.nanmean(columns["entropy"]))
                run.metrics[f"{panel}/{explainer}_entropy"] = mean
            about = metadata({"panel": panel, "rendering": rendering})
            write_table(DATA / "complexity" / f"{panel}.parquet", concatenated(tables), about)


def _measured(panel: str, explainer: str, rendering: str) -> dict[str, np.ndarray]:
    """The columns of one explainer's heatmaps on one panel."""
    ids: Sequence[str] = read_json(DATA / "panels" / panel / "about.json")["ids"]
    file: Path = DATA / "heatmaps" / panel / explainer / "heatmaps.npy"
    columns = complexity_columns(explainer, np.asarray(read_array(file)), ids, rendering)
    return {name: np.array(values) for name, values in columns.items()}
