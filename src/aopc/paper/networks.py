"""The networks for one data set: trained on it here, published by others, or the user's own."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from aopc.base.errors import InputError
from aopc.base.places import downloads_folder
from aopc.base.progress import progress_bar
from aopc.base.provenance import metadata
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import read_members
from aopc.data.downloads.fetch import fetch
from aopc.models.caffe.caffemodel import read_mean
from aopc.models.caffe.published import weights_named
from aopc.models.caffe.weights import fitting_architecture, load_caffe_weights
from aopc.models.inference import best_device
from aopc.models.load import load_network
from aopc.models.network import Layout, Network, save_network
from aopc.models.preprocessing import Preprocessing
from aopc.models.training import accuracy, train
from aopc.paper.folders import DATA
from aopc.paper.panel import checkpoint_file, require_same_classes, test_split

if TYPE_CHECKING:
    from aopc.paper.settings import Given, Published, Trained
    from aopc.paper.tracking.pending import StageRun


def write_network(
    run: "StageRun", settings: "Published | Given | Trained", folder: Path, label: str, name: str
) -> None:
    """Write one network for the data set ``name``. Errors as of the functions below."""
    if settings.kind == "trained":
        network, layout = trained(run, settings, folder, label, name)
    else:
        network, layout = published(settings, label) if settings.kind == "published" else given(settings)
        run.params[label]["checksum"] = network.origin["weights"]
    origin = metadata(run.params[label], __name__)
    save_network(folder / f"{label}.pt", replace(network, origin=origin), layout)


def published(settings: "Published", label: str) -> tuple[Network, Layout]:
    """A network with weights of Caffe's model zoo; InputError if they cannot be had, or are not of the network."""
    weights = weights_named(settings.weights)
    source = weights.source.changed(settings.archive, f"the archive of {label}")
    file = fetch(source, downloads_folder())
    preprocessing = weights.preprocessing
    with tempfile.TemporaryDirectory() as temporary:
        caffemodel = file.path
        if weights.member is not None and weights.mean is not None:
            for member, content in read_members(file, {weights.member, weights.mean}).items():
                (Path(temporary) / member).write_bytes(content)
            caffemodel = Path(temporary) / weights.member
            mean = read_mean(Path(temporary) / weights.mean)
            preprocessing = replace(preprocessing, mean=tuple(mean.tolist()))
        layout = Layout(fitting_architecture(caffemodel, weights.architectures), weights.classes)
        model = load_caffe_weights(layout.build(), caffemodel)
    print(f"{label}: {layout.architecture} of {source.name}, {file.checksum}")
    return Network(model, preprocessing, origin={"weights": file.checksum}), layout


def given(settings: "Given") -> tuple[Network, Layout]:
    """A torchvision network with weights from the user's file. Errors as of :func:`load_network`."""
    return load_network(settings.architecture, Path(settings.file), settings.preprocessing)


def trained(run: "StageRun", settings: "Trained", folder: Path, label: str, name: str) -> tuple[Network, Layout]:
    """A network trained on the data set ``name``, whose checkpoints are written; InputError if the data set has no
    labels, or the architecture cannot be trained here.
    """
    training, test = Dataset.load(DATA / "datasets" / name / "train"), test_split(name)
    require_same_classes(training, test, name)
    assert training.labels is not None
    assert test.labels is not None
    layout, recipe = Layout(settings.architecture, len(training.classes), settings.settings), settings.recipe
    model = layout.build().to(best_device())
    if not isinstance(model, nn.Sequential):
        raise InputError(f"params.yaml: {settings.architecture} cannot be trained here; it takes weights")
    network = Network(model, _preprocessing_of(training), origin=metadata(run.params[label], __name__))

    def keep(iteration: int, model: nn.Sequential) -> None:
        save_network(checkpoint_file(folder, label, iteration), replace(network, model=model.cpu()), layout)

    with progress_bar(recipe.epochs * len(training), f"train {name} {label}") as progress:
        labels = torch.from_numpy(training.labels.copy())
        model, losses = train(model, network.inputs(training.pixels), labels, recipe, progress, keep)
    reached = accuracy(model, network.inputs(test.pixels), test.labels)
    print(f"{name} {label}: test accuracy {reached:.1%} on {len(test)} images")
    run.metrics[f"{label}_test_accuracy"] = reached
    run.curves[f"{label}_loss"] = losses
    return replace(network, model=model.cpu()), layout


def _preprocessing_of(dataset: Dataset) -> Preprocessing:
    """The mean and the standard deviation of each channel, over all training pixels."""
    grey = dataset.pixels.ndim == 3
    pixels = np.asarray(dataset.pixels).reshape(-1, 1 if grey else 3)
    # By value: all pixels in floating point would not fit into memory for a large data set.
    values = np.arange(256) / 255
    counts = [np.bincount(channel, minlength=256) / len(channel) for channel in pixels.T]
    mean = [float(count @ values) for count in counts]
    std = [float(np.sqrt(c @ values**2 - m**2)) for c, m in zip(counts, mean, strict=True)]
    return Preprocessing("L" if grey else "RGB", tuple(round(m, 4) for m in mean), tuple(round(s, 4) for s in std), 1.0)
