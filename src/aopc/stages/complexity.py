"""Stage: entropy and file size of all heatmaps of one panel."""

from typing import Any

import numpy as np

from aopc.measures.complexity import complexity_columns
from aopc.stages.stage import DATA, section
from aopc.tables import concatenated, metadata, read_array, read_json, write_table
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str) -> None:
    rendering = section(params, "complexity", "rendering")
    ids = read_json(DATA / "panels" / panel / "about.json")["ids"]
    run.params = {"panel": panel, "rendering": rendering}
    tables = []
    for explainer in section(params, "explainers"):
        maps = read_array(DATA / "heatmaps" / panel / explainer / "heatmaps.npy")
        columns = complexity_columns(explainer, np.asarray(maps), ids, rendering)
        tables.append({k: np.array(v) for k, v in columns.items()})
        run.metrics[f"{explainer}_entropy"] = float(np.nanmean(columns["entropy"]))
    table = concatenated(tables)
    write_table(DATA / "complexity" / f"{panel}.parquet", table, metadata(run.params))
