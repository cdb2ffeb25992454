"""The networks for one data set: trained on it here, published by others, or the user's own."""

import shutil
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
    if settings.kind == "published":
        published(run, settings, folder / f"{label}.pt", label)
    elif settings.kind == "given":
        given(run, settings, folder / f"{label}.pt", label)
    else:
        trained(run, settings, folder, label, name)


def published(run: "StageRun", settings: "Published", path: Path, label: str) -> None:
    """Write a network with weights of Caffe's model zoo.

    Raises
    ------
    InputError
        If they cannot be had, or are not of the network.
    """
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
            preprocessing = preprocessing.with_mean(tuple(mean.tolist()))
        layout = Layout(fitting_architecture(caffemodel, weights.architectures), weights.classes)
        model = load_caffe_weights(layout.build(), caffemodel)
    run.params[label]["checksum"] = file.checksum
    print(f"{label}: {layout.architecture} of {source.name}, {file.checksum}")
    origin = metadata(run.params[label], __name__)
    save_network(path, Network(model, preprocessing, origin=origin), layout)


def given(run: "StageRun", settings: "Given", path: Path, label: str) -> None:
    """Write a torchvision network with weights from the user's file. Errors as of :func:`load_network`."""
    network, layout = load_network(
        settings.architecture, Path(settings.file), settings.preprocessing
    )
    run.params[label]["checksum"] = network.origin["weights"]
    save_network(path, replace(network, origin=metadata(run.params[label], __name__)), layout)


def trained(run: "StageRun", settings: "Trained", folder: Path, label: str, name: str) -> None:
    """Train a network on the data set ``name``, and write it with its checkpoints.

    Raises
    ------
    InputError
        If the data set has no labels, or the architecture cannot be trained here.
    """
    training, test = Dataset.load(DATA / "datasets" / name / "train"), test_split(name)
    require_same_classes(training, test, name)
    assert training.labels is not None
    assert test.labels is not None
    preprocessing, recipe = _preprocessing_of(training), settings.recipe
    layout = Layout(settings.architecture, len(training.classes), settings.settings)
    model = layout.build().to(best_device())
    if not isinstance(model, nn.Sequential):
        raise InputError(
            f"params.yaml: {settings.architecture} cannot be trained here; it takes weights"
        )
    origin = metadata(run.params[label], __name__)

    def keep(iteration: int, network: nn.Sequential) -> None:
        found = Network(network.cpu(), preprocessing, origin=origin)
        save_network(checkpoint_file(folder, label, iteration), found, layout)

    def inputs(dataset: Dataset) -> torch.Tensor:
        return torch.from_numpy(preprocessing.normalise(np.asarray(dataset.pixels)))

    shutil.rmtree(checkpoint_file(folder, label, 0).parent, ignore_errors=True)
    with progress_bar(recipe.epochs * len(training), f"train {name} {label}") as progress:
        labels = torch.from_numpy(training.labels.copy())
        model, losses = train(model, inputs(training), labels, recipe, progress, keep)
    reached = accuracy(model, inputs(test), test.labels)
    print(f"{name} {label}: test accuracy {reached:.1%} on {len(test)} images")
    run.metrics[f"{label}_test_accuracy"] = reached
    run.curves[f"{label}_loss"] = losses
    save_network(folder / f"{label}.pt", Network(model.cpu(), preprocessing, origin=origin), layout)


def _preprocessing_of(dataset: Dataset) -> Preprocessing:
    """The mean and the standard deviation of each channel, over all training pixels."""
    grey = dataset.pixels.ndim == 3
    pixels = np.asarray(dataset.pixels).reshape(-1, 1 if grey else 3)
    # By value: all pixels in floating point would not fit into memory for a large data set.
    values = np.arange(256) / 255
    counts = [np.bincount(channel, minlength=256) / len(channel) for channel in pixels.T]
    mean = [float(count @ values) for count in counts]
    std = [float(np.sqrt(c @ values**2 - m**2)) for c, m in zip(counts, mean, strict=True)]
    return Preprocessing(
        "L" if grey else "RGB",
        tuple(round(m, 4) for m in mean),
        tuple(round(s, 4) for s in std),
        1.0,
    )
