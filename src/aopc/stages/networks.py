"""Stage: the networks for one data set: trained on it here, published by others, or the user's own."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aopc.datasets.dataset import Dataset
from aopc.downloads.archives import read_members
from aopc.downloads.fetch import fetch
from aopc.errors import InputError
from aopc.models.caffe_weights import fitting_architecture, load_caffe_weights, weights_named
from aopc.models.caffemodel import read_mean
from aopc.models.inference import best_device
from aopc.models.network_file import build, save_network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.torchvision_models import load_torchvision_model
from aopc.models.training import TrainingSettings, accuracy, train
from aopc.progress import progress_bar
from aopc.registry import resolve
from aopc.repository import downloads_folder
from aopc.settings import checked, typed
from aopc.stages.panel import checkpoint_file, require_same_classes
from aopc.stages.stage import DATA, section
from aopc.tables import file_hash, metadata
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], name: str) -> None:
    folder = DATA / "networks" / name
    for label, options in section(params, "networks", name).items():
        where = f"params.yaml: networks.{name}.{label}"
        options = typed(options, dict[str, Any], where)
        run.params[label] = {**options, "seed": params["seed"]}
        if "weights" in options:
            _published(run, checked(Published, where, options), folder / f"{label}.pt", label)
        elif "file" in options:
            _given(run, checked(Given, where, options), folder / f"{label}.pt", label)
        else:
            _trained(run, params, options, folder, label)


@dataclass(frozen=True)
class Published:
    """Attributes
    ----------
    weights
        A key of :data:`aopc.models.caffe_weights.CAFFE_WEIGHTS`.
    archive
        Settings of their :class:`Source` to replace.
    """

    weights: str
    archive: dict[str, Any] | None = None


def _published(run: StageRun, options: Published, path: Path, label: str) -> None:
    """Weights of Caffe's model zoo."""
    weights = weights_named(options.weights)
    source = weights.source.changed(options.archive, f"the archive of {label}")
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
        architecture = fitting_architecture(caffemodel, weights.architectures)
        network = build(architecture, weights.classes, {})
        load_caffe_weights(network, caffemodel)
    run.params[label]["checksum"] = file.checksum
    print(f"{label}: {architecture} of {source.name}, {file.checksum}")
    origin = metadata(run.params[label])
    save_network(path, network, architecture, weights.classes, {}, preprocessing, origin)


@dataclass(frozen=True)
class Given:
    """Attributes
    ----------
    file
        A state dict as torch.save wrote it, from the profile's folder, or absolute.
    architecture
        As torchvision.models calls it.
    preprocessing
        A key of :data:`aopc.models.preprocessing.PREPROCESSINGS`; "caffe" builds the network as Caffe
        defines it.
    """

    file: str
    architecture: str
    preprocessing: str


def _given(run: StageRun, options: Given, path: Path, label: str) -> None:
    """A torchvision network with weights from the user's file."""
    preprocessing = resolve("preprocessing", PREPROCESSINGS, options.preprocessing)
    caffe = options.preprocessing == "caffe"
    model = load_torchvision_model(options.architecture, Path(options.file), caffe=caffe)
    classes = len(next(reversed(model.state_dict().values())))
    run.params[label]["checksum"] = file_hash(Path(options.file))
    settings = {"name": options.architecture, "caffe": caffe}
    origin = metadata(run.params[label])
    save_network(path, model, "torchvision", classes, settings, preprocessing, origin)


def _trained(
    run: StageRun, params: dict[str, Any], options: dict[str, Any], folder: Path, label: str
) -> None:
    name = folder.name
    training = Dataset.load(DATA / "datasets" / name / "train")
    test = Dataset.load(DATA / "datasets" / name / "test")
    require_same_classes(training, test, name)
    assert training.labels is not None
    assert test.labels is not None
    preprocessing = _preprocessing_of(training)
    classes, settings = len(training.classes), dict(options)
    where = f"params.yaml: networks.{name}.{label}"
    architecture = typed(settings.pop("architecture", None), str, f"{where}.architecture")
    layers = typed(settings.pop("settings", {}), dict[str, Any], f"{where}.settings")
    how = checked(TrainingSettings, where, settings, seed=section(params, "seed"))
    model = build(architecture, classes, layers).to(best_device())
    if not isinstance(model, nn.Sequential):
        raise InputError(f"params.yaml: {architecture} cannot be trained here; it takes weights")
    origin = metadata(run.params[label])

    def keep(iteration: int, network: nn.Sequential) -> None:
        path = checkpoint_file(folder, label, iteration)
        save_network(path, network.cpu(), architecture, classes, layers, preprocessing, origin)

    shutil.rmtree(checkpoint_file(folder, label, 0).parent, ignore_errors=True)
    with progress_bar(how.epochs * len(training), f"train {name} {label}") as progress:
        model, losses = train(
            model,
            preprocessing.normalise(training.pixels),
            torch.from_numpy(training.labels.copy()),
            how,
            progress,
            keep,
        )
    reached = accuracy(model, preprocessing.normalise(test.pixels), test.labels)
    print(f"{name} {label}: test accuracy {reached:.1%} on {len(test)} images")
    run.metrics[f"{label}_test_accuracy"] = reached
    run.curves[f"{label}_loss"] = losses
    path = folder / f"{label}.pt"
    save_network(path, model.cpu(), architecture, classes, layers, preprocessing, origin)


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
