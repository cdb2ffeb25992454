"""Digits on a network with pooling and on one without (Figures 1 and 3, claim C11)."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aopc.base.errors import InputError
from aopc.base.files import concatenated, write_array, write_record, write_table
from aopc.base.provenance import metadata
from aopc.data.dataset import Dataset
from aopc.explainers.run import heatmaps
from aopc.measures.specificity import similarity_to_others
from aopc.models.inference import predict
from aopc.models.network import Network
from aopc.paper.folders import DATA

if TYPE_CHECKING:
    from aopc.paper.tracking.pending import StageRun

FOLDER = DATA / "digits"
METHODS = ("lrp-alpha2-beta1", "deconvolution-l2", "sensitivity-l2")
#: Figure 3's: class, which of its images, and by how many degrees it is turned.
SHOWN = (("3", 0, 0), ("3", 1, 0), ("3", 2, 40), ("9", 0, 0), ("9", 1, 0), ("9", 2, -40))
#: Pixels brighter than this part of white are the digit, in Figure 1's segmentation.
INK = 0.5


def measure_similarity(run: "StageRun", dataset: Dataset, pooling: Network, without_pooling: Network) -> None:
    """Write how much each heatmap is like the others of its class, on both networks."""
    assert dataset.labels is not None
    tables = []
    for kind, network in (("pooling", pooling), ("no pooling", without_pooling)):
        images = network.inputs(np.asarray(dataset.pixels))
        for method in METHODS:
            maps = heatmaps(network.model, images, method, dataset.labels, image_ids=dataset.ids)
            found = similarity_to_others(maps, dataset.labels)
            columns = {
                "network": [kind] * len(found),
                "explainer": [method] * len(found),
                "image": dataset.ids,
                "label": dataset.labels,
                "similarity": found,
            }
            tables.append({k: np.array(v) for k, v in columns.items()})
            if np.isfinite(found).any():
                run.metrics[f"{kind}/{method}_similarity"] = float(np.nanmean(found))
    write_table(FOLDER / "similarity.parquet", concatenated(tables), metadata(run.params, __name__))


def _of_class(test: Dataset, name: str) -> NDArray[np.int64]:
    if test.labels is None or name not in test.classes:
        raise InputError(f"params.yaml: the data set of digits needs the class {name}")
    return np.flatnonzero(test.labels == test.classes.index(name))


def write_figure1(network: Network, test: Dataset) -> None:
    """One 3 that the network recognises, with three heatmaps."""
    pixels = np.asarray(test.pixels[_of_class(test, "3")])
    target = test.classes.index("3")
    right = predict(network.model, network.inputs(pixels)).argmax(axis=1) == target
    first = int(right.argmax())  # of those that are right, and of all where none is
    images = network.inputs(pixels[first : first + 1])
    random, lrp = (
        heatmaps(network.model, images, method, np.array([target]))[0] for method in ("random", "lrp-alpha2-beta1")
    )
    write_array(FOLDER / "figure1-image.npy", pixels[first])
    segmentation = (pixels[first] > INK * 255).astype(np.float32)
    write_array(FOLDER / "figure1-heatmaps.npy", np.stack([random, segmentation, lrp]))


def write_figure3(network: Network, test: Dataset) -> None:
    """Digits, some of them turned, and their heatmaps for the digit's own class."""
    pictures, targets = [], []
    for name, number, degrees in SHOWN:
        members = _of_class(test, name)
        image = Image.fromarray(np.asarray(test.pixels[members[number % len(members)]]))
        pictures.append(np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR)))
        targets.append(test.classes.index(name))
    pixels, explainers = np.stack(pictures), METHODS[:2]
    images = network.inputs(pixels)
    maps = [heatmaps(network.model, images, method, np.array(targets)) for method in explainers]
    write_array(FOLDER / "figure3-images.npy", pixels)
    write_array(FOLDER / "figure3-heatmaps.npy", np.stack(maps))
    write_record(FOLDER / "figure3.json", {"explainers": list(explainers), "shown": [list(s) for s in SHOWN]})
