"""Stage: one panel under other choices than the paper's, and its controls (:mod:`aopc.controls`)."""

from pathlib import Path
from typing import Any

import numpy as np

from aopc.controls import DROPOUT, control_curves
from aopc.explainers import RANDOM, get_explainer
from aopc.models.dropout import has_dropout
from aopc.progress import progress_bar
from aopc.protocol import write_curves
from aopc.registry import source_hash
from aopc.shards import shards
from aopc.stages.panel import StoredPanel, control_settings, panel_protocol
from aopc.stages.stage import CACHE, DATA, keep_only, parts_of, section
from aopc.streams import Stream
from aopc.tables import file_hash, identity_hash, join_tables, metadata, read_array, table_origin
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], panel: str) -> None:
    protocol, controls = panel_protocol(params, panel), control_settings(params)
    explainers = list(section(params, "explainers"))
    stored = StoredPanel(DATA / "panels" / panel)
    dataset, (model, preprocessing), targets = stored.dataset(), stored.network(), stored.targets()
    order = Stream(protocol.seed, "controls", panel).permutation(len(dataset))
    chosen = np.sort(order[: controls.images])
    conditions = controls.conditions(explainers, protocol)
    if not has_dropout(model):
        conditions.pop(DROPOUT, None)
    for explainer in controls.explainers:
        get_explainer(explainer)
    run.params = {"panel": panel, "conditions": conditions, "images": len(chosen)}
    inputs = [file_hash(f) for f in stored.files]
    folder = DATA / "controls" / panel
    folder.mkdir(parents=True, exist_ok=True)
    keep_only(folder, conditions)
    pairs = [(c, e) for c, names in conditions.items() for e in names]
    with progress_bar(len(pairs) * len(chosen), f"controls {panel}") as progress:
        for condition, explainer in pairs:
            keep_only(folder / condition, [f"{e}.parquet" for e in conditions[condition]])
            own = explainer in explainers and explainer != RANDOM
            file = DATA / "heatmaps" / panel / explainer / "heatmaps.npy" if own else None
            used = {
                "panel": panel,
                "condition": condition,
                "explainer": explainer,
                "images": [dataset.ids[i] for i in chosen],
                "repeats": controls.repeats,
                "random_orders": controls.random_orders,
                "surrogates": controls.surrogates,
                **{f"main_{k}": v for k, v in protocol.as_parameters().items()},
                "inputs": [*inputs, file_hash(file) if file else None],
                "sources": [source_hash(x) for x in (explainer, condition, protocol.removal)],
            }
            path = folder / condition / f"{explainer}.parquet"
            if table_origin(path).get("identity") == identity_hash(used):
                progress(len(chosen))
                continue
            maps = read_array(file) if file else None
            origin = {
                **metadata({k: v for k, v in used.items() if k not in ("inputs", "images")}),
                "identity": identity_hash(used),
            }
            with shards(CACHE / "shards", used) as shard:
                files = []
                for part in parts_of(len(chosen)):
                    indices = chosen[part]

                    def compute(to: Path, indices: Any = indices) -> None:
                        curves = control_curves(
                            condition,  # noqa: B023 — called before the loop goes on
                            explainer,  # noqa: B023
                            model,
                            preprocessing.normalise(np.asarray(dataset.pixels[indices])),
                            None if maps is None else np.asarray(maps[indices]),  # noqa: B023
                            targets[indices],
                            [dataset.ids[i] for i in indices],
                            protocol,
                            controls,
                            preprocessing.value_range,
                            progress,
                        )
                        order = _order_of(condition, explainer)  # noqa: B023
                        write_curves(to / "curves.parquet", {order: curves}, origin)  # noqa: B023

                    name = f"{part.start:06d}"
                    if name in shard:
                        progress(len(indices))
                    files.append(shard(name, compute) / "curves.parquet")
                join_tables(path, files, origin)


def _order_of(condition: str, explainer: str) -> Any:
    if explainer == RANDOM:
        return "random"
    return "lerf" if condition == "lerf" else "morf"
