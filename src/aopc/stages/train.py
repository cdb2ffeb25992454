"""Stage: train the networks of one data set."""

from typing import Any

import numpy as np
import torch

from aopc.datasets.dataset import Dataset
from aopc.models.inference import best_device
from aopc.models.network_file import build, save_network
from aopc.models.preprocessing import Preprocessing
from aopc.models.training import TrainingSettings, accuracy, train
from aopc.progress import progress_bar
from aopc.stages.stage import DATA, checked, section
from aopc.tables import metadata
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], name: str) -> None:
    training = Dataset.load(DATA / "datasets" / name / "train")
    test = Dataset.load(DATA / "datasets" / name / "test")
    preprocessing = _preprocessing_of(training)
    images = preprocessing.normalise(np.asarray(training.images))
    labels = torch.from_numpy(training.labels.copy())
    classes = len(training.classes)
    for label, options in section(params, "networks", name).items():
        settings = dict(options)
        architecture, layers = settings.pop("architecture"), settings.pop("settings")
        where = f"networks.{name}.{label}"
        how = checked(TrainingSettings, where, **settings, seed=section(params, "seed"))
        model = build(architecture, classes, layers).to(best_device())
        with progress_bar(how.epochs * len(training), f"train {name} {label}") as progress:
            model, losses = train(model, images, labels, how, progress)
        reached = accuracy(model, preprocessing.normalise(np.asarray(test.images)), test.labels)
        print(f"{name} {label}: test accuracy {reached:.1%} on {len(test)} images")
        run.params[label] = {**options, "seed": params["seed"]}
        run.metrics[f"{label}_test_accuracy"] = reached
        run.curves[f"{label}_loss"] = losses
        save_network(
            DATA / "networks" / name / f"{label}.pt",
            model.cpu(),
            architecture,
            classes,
            layers,
            preprocessing,
            metadata(run.params[label]),
        )


def _preprocessing_of(dataset: Dataset) -> Preprocessing:
    """The mean and the standard deviation of each channel, over all training pixels."""
    grey = dataset.images.ndim == 3
    pixels = np.asarray(dataset.images, dtype=np.float64).reshape(-1, 1 if grey else 3) / 255
    mean, std = pixels.mean(axis=0), pixels.std(axis=0)
    return Preprocessing(
        "L" if grey else "RGB", tuple(mean.round(4).tolist()), tuple(std.round(4).tolist()), 1.0
    )
