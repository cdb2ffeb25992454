"""Stage: digits on a network with pooling and on one without (Figures 1 and 3, claim C11)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aopc.datasets.dataset import Dataset
from aopc.errors import InputError
from aopc.explainers import heatmaps
from aopc.measures.specificity import similarity_to_others
from aopc.models.inference import best_device, predict
from aopc.models.network_file import load_network
from aopc.settings import checked
from aopc.stages.panel import chosen_images, load_test_split, network_file
from aopc.stages.stage import DATA, section
from aopc.tables import concatenated, metadata, write_array, write_json, write_table
from aopc.tracking.journal import StageRun

METHODS = ("lrp-alpha2-beta1", "deconvolution-l2", "sensitivity-l2")
#: Figure 3's: class, which of its images, and by how many degrees it is turned.
SHOWN = (("3", 0, 0), ("3", 1, 0), ("3", 2, 40), ("9", 0, 0), ("9", 1, 0), ("9", 2, -40))
#: Pixels brighter than this part of white are the digit, in Figure 1's segmentation.
INK = 0.5


@dataclass(frozen=True)
class DigitSettings:
    """The section ``digits`` of params.yaml.

    Attributes
    ----------
    data_set
        With the classes 3 and 9, grey.
    network
        Of Figure 1, as data set/label.
    without_pooling
        Of Figure 3.
    images
        How many test images the similarity of heatmaps is measured on.
    """

    data_set: str
    network: str
    without_pooling: str
    images: int


def work(run: StageRun, params: dict[str, Any]) -> None:
    folder = DATA / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    values = section(params, "digits")
    if not values:
        return
    settings = checked(DigitSettings, "params.yaml: digits", values)
    run.params = asdict(settings)
    test = load_test_split(settings.data_set)
    _similarity(run, params, settings, test)
    _figure1(params, settings, test)
    _figure3(settings, test)


def _model(name: str) -> Any:
    model, preprocessing = load_network(network_file(name))
    return model.to(best_device()), preprocessing


def _similarity(
    run: StageRun, params: dict[str, Any], settings: DigitSettings, test: Dataset
) -> None:
    """How much each heatmap is like the others of its class, on both networks."""
    dataset = chosen_images(test, settings.images, section(params, "limit"), params, "digits")
    assert dataset.labels is not None
    tables = []
    for kind, name in (("pooling", settings.network), ("no pooling", settings.without_pooling)):
        model, preprocessing = _model(name)
        images = preprocessing.normalise(np.asarray(dataset.pixels))
        for method in METHODS:
            maps = heatmaps(model, images, method, dataset.labels, image_ids=dataset.ids)
            found = similarity_to_others(maps, dataset.labels)
            columns = {
                "network": [kind] * len(found),
                "explainer": [method] * len(found),
                "image": list(dataset.ids),
                "label": dataset.labels,
                "similarity": found,
            }
            tables.append({k: np.array(v) for k, v in columns.items()})
            if np.isfinite(found).any():
                run.metrics[f"{kind}/{method}_similarity"] = float(np.nanmean(found))
    write_table(DATA / "digits" / "similarity.parquet", concatenated(tables), metadata(run.params))


def _of_class(test: Dataset, name: str) -> NDArray[np.int64]:
    if test.labels is None or name not in test.classes:
        raise InputError(f"params.yaml: the data set of digits needs the class {name}")
    return np.flatnonzero(test.labels == test.classes.index(name))


def _figure1(params: dict[str, Any], settings: DigitSettings, test: Dataset) -> None:
    """One 3 that the network recognises, with three heatmaps."""
    model, preprocessing = _model(settings.network)
    threes = _of_class(test, "3")
    pixels = np.asarray(test.pixels[threes])
    scores = predict(model, preprocessing.normalise(pixels))
    target = test.classes.index("3")
    right = np.flatnonzero(scores.argmax(axis=1) == target)
    first = int(right[0]) if len(right) else 0
    images = preprocessing.normalise(pixels[first : first + 1])
    maps = [
        heatmaps(model, images, "random", np.array([target]))[0],
        (pixels[first] > INK * 255).astype(np.float32),
        heatmaps(model, images, "lrp-alpha2-beta1", np.array([target]))[0],
    ]
    write_array(DATA / "digits" / "figure1-image.npy", pixels[first])
    write_array(DATA / "digits" / "figure1-heatmaps.npy", np.stack(maps))


def _figure3(settings: DigitSettings, test: Dataset) -> None:
    """Digits, some of them turned, and their heatmaps for the digit's own class."""
    model, preprocessing = _model(settings.without_pooling)
    pictures, targets = [], []
    for name, number, degrees in SHOWN:
        members = _of_class(test, name)
        image = Image.fromarray(np.asarray(test.pixels[members[number % len(members)]]))
        pictures.append(np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR)))
        targets.append(test.classes.index(name))
    pixels = np.stack(pictures)
    images = preprocessing.normalise(pixels)
    shown = ("lrp-alpha2-beta1", "deconvolution-l2")
    maps = [heatmaps(model, images, method, np.array(targets)) for method in shown]
    write_array(DATA / "digits" / "figure3-images.npy", pixels)
    write_array(DATA / "digits" / "figure3-heatmaps.npy", np.stack(maps))
    about = {"explainers": list(shown), "shown": [list(s) for s in SHOWN]}
    write_json(DATA / "digits" / "figure3.json", about)
