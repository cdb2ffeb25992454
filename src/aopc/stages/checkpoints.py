"""Stage: AOPC and accuracy of one network at several points of its training (Figure 7)."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aopc.datasets.dataset import Dataset
from aopc.errors import InputError
from aopc.explainers import RANDOM, heatmaps
from aopc.measures.curves import aopc_curves
from aopc.models.inference import best_device, predict
from aopc.models.network_file import load_network
from aopc.progress import progress_bar
from aopc.protocol import Protocol, curves_of
from aopc.registry import source_hash
from aopc.settings import checked
from aopc.shards import shards
from aopc.stages.panel import (
    CheckpointSettings,
    checkpoint_file,
    checkpoint_settings,
    chosen_images,
    load_test_split,
    require_same_classes,
)
from aopc.stages.stage import CACHE, DATA, parts_of, section
from aopc.tables import (
    concatenated,
    file_hash,
    metadata,
    read_array,
    read_table,
    write_array,
    write_json,
    write_table,
)
from aopc.tracking.journal import StageRun

#: Heatmaps of the first images are kept for the figure.
SHOWN = 8


def work(run: StageRun, params: dict[str, Any]) -> None:
    (DATA / "checkpoints").mkdir(parents=True, exist_ok=True)
    for name in section(params, "checkpoints"):
        _training(run, params, name)


def _training(run: StageRun, params: dict[str, Any], name: str) -> None:
    settings = checkpoint_settings(params, name)
    protocol = _protocol(params, settings)
    network, explainer = settings.network, settings.explainer
    iterations = section(params, "networks", name, network).get("checkpoints", [])
    if len(iterations) < 3:
        raise InputError(
            f"params.yaml: checkpoints.{name} needs three checkpoints or more; networks.{name}.{network}"
            f" lists {len(iterations)}"
        )
    test = load_test_split(name)
    require_same_classes(Dataset.load(DATA / "datasets" / name / "train"), test, name)
    dataset = chosen_images(test, settings.images, section(params, "limit"), params, name)
    folder = DATA / "networks" / name
    files = [checkpoint_file(folder, network, i) for i in iterations]
    run.params[name] = {**asdict(settings), **protocol.as_parameters()}
    tested = DATA / "datasets" / name / "test"
    identity = {
        **run.params[name],
        "images": list(dataset.ids),
        "inputs": [file_hash(f) for f in (*files, *sorted(tested.glob("*.*")))],
        "sources": [source_hash(explainer), source_hash(protocol.removal)],
    }
    started = time.perf_counter()
    done = []
    with (
        shards(CACHE / "shards", identity) as shard,
        progress_bar(len(files) * len(dataset), f"checkpoints {name}") as progress,
    ):
        for iteration, file in zip(iterations, files, strict=True):

            def compute(to: Path, iteration: int = iteration, file: Path = file) -> None:
                _one(to, iteration, file, dataset, test, protocol, explainer, progress)

            part = f"{iteration:06d}"
            if part in shard:
                progress(len(dataset))
            done.append(shard(part, compute))
        origin = metadata(run.params[name])
        out = DATA / "checkpoints" / name
        table = concatenated([read_table(f / "aopc.parquet") for f in done])
        correct = np.stack([read_array(f / "correct.npy") for f in done])
        maps = np.stack([read_array(f / "heatmaps.npy") for f in done])
    write_table(out / "aopc.parquet", table, origin)
    write_array(out / "correct.npy", correct)
    write_array(out / "heatmaps.npy", maps)
    dataset.take(np.arange(min(SHOWN, len(dataset)))).save(out / "shown", run.params[name])
    write_json(out / "about.json", {"iterations": iterations, **origin})
    for i, iteration in enumerate(iterations):
        rows = table["iteration"] == iteration
        mean, reached = float(table["aopc"][rows].mean()), float(correct[i].mean())
        run.curves.setdefault(f"{name}_aopc", []).append(mean)
        run.curves.setdefault(f"{name}_accuracy", []).append(reached)
        print(f"{name} {network}, iteration {iteration}: accuracy {reached:.1%}, AOPC {mean:.2f}")
    run.metrics[f"{name}_seconds"] = time.perf_counter() - started


def _protocol(params: dict[str, Any], settings: CheckpointSettings) -> Protocol:
    """The profile's, with what this section says otherwise."""
    own = {k: getattr(settings, k) for k in ("steps", "repeats", "random_orders")}
    values = {**section(params, "perturbation"), "orders": ["morf"]}
    return checked(
        Protocol,
        "params.yaml: perturbation",
        values | {k: v for k, v in own.items() if v is not None},
        region_size=settings.region_size,
        seed=section(params, "seed"),
    )


def _one(
    to: Path,
    iteration: int,
    file: Path,
    dataset: Dataset,
    test: Dataset,
    protocol: Protocol,
    explainer: str,
    progress: Any,
) -> None:
    """All of one checkpoint: AOPC of each image, whether each test image is right, heatmaps."""
    model, preprocessing = load_network(file)
    model = model.to(best_device())
    columns: dict[str, list[Any]] = {}
    shown = []
    for part in parts_of(len(dataset)):
        images = preprocessing.normalise(np.asarray(dataset.pixels[part]))
        ids = dataset.ids[part]
        targets = predict(model, images, image_ids=ids).argmax(axis=1)
        maps = heatmaps(model, images, explainer, targets, image_ids=ids)
        curves = curves_of(
            {explainer: maps, RANDOM: None},
            model,
            images,
            targets,
            ids,
            protocol,
            preprocessing.value_range,
        )
        by_name = {name: next(iter(found.values())) for name, found in curves.items()}
        rows = {
            "iteration": [iteration] * len(ids),
            "image": list(ids),
            "target": targets.tolist(),
            "aopc": aopc_curves(by_name[explainer])[:, -1].tolist(),
            "aopc_random": aopc_curves(by_name[RANDOM])[:, -1].tolist(),
            "aopc_probability": aopc_curves(by_name[explainer], "probability")[:, -1].tolist(),
            "aopc_random_probability": aopc_curves(by_name[RANDOM], "probability")[:, -1].tolist(),
        }
        for column, values in rows.items():
            columns.setdefault(column, []).extend(values)
        if part.start < SHOWN:
            shown.append(maps[: SHOWN - part.start])
        progress(len(ids))
    correct = []
    assert test.labels is not None
    for part in parts_of(len(test), 1000):
        images = preprocessing.normalise(np.asarray(test.pixels[part]))
        correct.append(predict(model, images).argmax(axis=1) == test.labels[part])
    write_table(to / "aopc.parquet", {k: np.array(v) for k, v in columns.items()}, {})
    write_array(to / "correct.npy", np.concatenate(correct))
    write_array(to / "heatmaps.npy", np.concatenate(shown))
