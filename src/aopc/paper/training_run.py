"""One network at several points of its training (Figure 7): AOPC, accuracy and heatmaps."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.files import concatenated, read_array, write_array, write_record, write_table
from aopc.base.provenance import file_hash, metadata
from aopc.data.dataset import Dataset
from aopc.experiment.job import Job
from aopc.experiment.run import Done, Unit, run, slices
from aopc.experiment.store import CURVES, HEATMAPS, read_curves
from aopc.experiment.subject import Subject
from aopc.measures.aopc import aopc_curves
from aopc.models.inference import predict
from aopc.models.network import Network, stored_network
from aopc.paper.folders import DATA, PART_IMAGES, PARTS
from aopc.paper.panel import checkpoint_file
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import CONDITIONS, MAIN, Protocol

if TYPE_CHECKING:
    from aopc.paper.settings import CheckpointSettings

#: Heatmaps of the first images are kept for the figure.
SHOWN = 8


def follow(
    name: str,
    settings: "CheckpointSettings",
    iterations: Sequence[int],
    protocol: Protocol,
    dataset: Dataset,
    test: Dataset,
    architecture: str | None,
) -> dict[str, list[float]]:
    """Judge the network of the data set ``name`` at its checkpoints, and write what Figure 7 shows.

    AOPC is taken on ``dataset``, the accuracy on ``test``; ``architecture`` is as of :func:`stored_network`. Returns ``aopc`` and ``accuracy`` by checkpoint.
    """
    assert test.labels is not None
    tables, correct, maps = [], [], []
    for iteration in iterations:
        file = checkpoint_file(DATA / "networks" / name, settings.network, iteration)
        network = stored_network(file, architecture).on()
        job = _job(name, network, file, settings.explainer, protocol, dataset)
        with run(job, PARTS) as done:
            tables.append(_table(done, settings.explainer, iteration))
            parts = [read_array(f / HEATMAPS)[:SHOWN] for f in done.folders[Unit(settings.explainer)]]
            maps.append(np.concatenate(parts)[:SHOWN])
        correct.append(_classes(network, test, 1000) == test.labels)
    out, used = DATA / "checkpoints" / name, {"network": settings.network, **protocol.as_parameters()}
    table = concatenated(tables)
    origin = metadata(used, __name__, settings.explainer, protocol.removal)
    write_table(out / "aopc.parquet", table, origin)
    write_array(out / "correct.npy", np.stack(correct))
    write_array(out / "heatmaps.npy", np.stack(maps))
    dataset.take(np.arange(min(SHOWN, len(dataset)))).save(out / "shown", origin)
    write_record(out / "about.json", {"iterations": list(iterations), **origin})
    means = [float(table["aopc"][table["iteration"] == i].mean()) for i in iterations]
    return {"aopc": means, "accuracy": [float(c.mean()) for c in correct]}


def _job(name: str, network: Network, file: Path, explainer: str, protocol: Protocol, dataset: Dataset) -> Job:
    # It says what the arrays beside it are.
    tested = DATA / "datasets" / name / "test" / "about.json"
    inputs = [file_hash(file), file_hash(tested)]
    if "architecture source" in network.origin:
        inputs.append(network.origin["architecture source"])
    subject = Subject(name, network, dataset, _classes(network, dataset, PART_IMAGES), inputs)
    conditions = [(CONDITIONS[MAIN], (explainer, RANDOM))]
    return Job(subject, protocol, conditions, PART_IMAGES, keep=(HEATMAPS,), label=file.stem)


def _classes(network: Network, dataset: Dataset, at_once: int) -> NDArray[np.int64]:
    """What the network predicts, with so many images in memory at once."""
    scores = [
        predict(network.model, network.inputs(np.asarray(dataset.pixels[rows])), image_ids=dataset.ids[rows])
        for rows in slices(len(dataset), at_once)
    ]
    return np.concatenate(scores).argmax(axis=1)


def _table(done: Done, explainer: str, iteration: int) -> dict[str, NDArray[Any]]:
    """One row an image: its AOPC by the heatmap and in random order."""
    columns: dict[str, NDArray[Any]] = {}
    for name, ending in ((explainer, ""), (RANDOM, "_random")):
        (curves,) = read_curves(*(f / CURVES for f in done.folders[Unit(name)])).values()
        columns |= {
            "iteration": np.full(len(curves.targets), iteration),
            "image": np.array(curves.image_ids, dtype=object),
            "target": curves.targets,
            f"aopc{ending}": aopc_curves(curves)[:, -1],
            f"aopc{ending}_probability": aopc_curves(curves, "probability")[:, -1],
        }
    return columns
