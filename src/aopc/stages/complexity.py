"""Stage: entropy and file size of all heatmaps."""

from typing import Any

import numpy as np

from aopc.measures.complexity import complexity_columns
from aopc.stages.stage import DATA, section
from aopc.tables import concatenated, metadata, read_array, read_json, write_table
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    rendering = section(params, "complexity", "rendering")
    run.params = {"rendering": rendering}
    for panel in section(params, "panels"):
        ids = read_json(DATA / "panels" / panel / "about.json")["ids"]
        tables = []
        for explainer in section(params, "explainers"):
            maps = read_array(DATA / "heatmaps" / panel / explainer / "heatmaps.npy")
            columns = complexity_columns(explainer, np.asarray(maps), ids, rendering)
            tables.append({k: np.array(v) for k, v in columns.items()})
            run.metrics[f"{panel}/{explainer}_entropy"] = float(np.nanmean(columns["entropy"]))
        table = concatenated(tables)
        about = metadata({"panel": panel, "rendering": rendering})
        write_table(DATA / "complexity" / f"{panel}.parquet", table, about)
