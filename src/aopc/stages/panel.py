"""One panel of the paper's figures on disk: images, the network that is explained, its predictions."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aopc.controls import Controls
from aopc.datasets.dataset import Dataset
from aopc.errors import InputError
from aopc.models.inference import best_device
from aopc.models.network_file import load_network
from aopc.models.preprocessing import Preprocessing
from aopc.protocol import Protocol
from aopc.settings import checked
from aopc.stages.stage import DATA, section
from aopc.streams import Stream
from aopc.tables import metadata, read_array, write_array, write_json


@dataclass(frozen=True)
class PanelSettings:
    """A panel in params.yaml.

    Attributes
    ----------
    network
        Data set/label, as the section networks has it.
    images
        How many, drawn at random from the test images; None: all.
    region_size
        Side of a region in pixels.
    title
        In the figures.
    stands_for
        Which of the paper's data sets it is or mirrors: its claims are read on it. None: none.
    """

    network: str
    images: int | None
    region_size: int
    title: str
    stands_for: Literal["ilsvrc2012", "sun397", "places205"] | None = None


def panel_settings(params: dict[str, Any], name: str) -> PanelSettings:
    """The settings of one panel.

    Raises
    ------
    InputError
        If one is missing, not known, or of another type.
    """
    return checked(PanelSettings, f"params.yaml: panels.{name}", section(params, "panels", name))


def panels_of_the_paper(params: dict[str, Any]) -> dict[str, str]:
    """The paper's name of a data set → the panel that stands for it.

    Raises
    ------
    InputError
        If two panels stand for the same one; the claims could be read on either.
    """
    found: dict[str, str] = {}
    for name in section(params, "panels"):
        paper = panel_settings(params, name).stands_for
        if paper is not None and paper in found:
            raise InputError(
                f"params.yaml: the panels {found[paper]} and {name} both stand for {paper}; take"
                " stands_for out of one"
            )
        if paper is not None:
            found[paper] = name
    return found


def panel_protocol(params: dict[str, Any], name: str) -> Protocol:
    """The settings of region perturbation on one panel. Errors as in :func:`panel_settings`."""
    return checked(
        Protocol,
        "params.yaml: perturbation",
        section(params, "perturbation"),
        region_size=panel_settings(params, name).region_size,
        seed=section(params, "seed"),
    )


def control_settings(params: dict[str, Any]) -> Controls:
    """The settings of the controls. Errors as in :func:`panel_settings`."""
    return checked(Controls, "params.yaml: controls", section(params, "controls"))


@dataclass(frozen=True)
class CheckpointSettings:
    """A training run of Figure 7 in params.yaml.

    Attributes
    ----------
    network
        The label of a network of the data set with the section's name, which has checkpoints.
    explainer
        Whose heatmaps are judged.
    images, region_size, title
        As of a panel.
    steps, repeats, random_orders
        In the place of those of the section perturbation.
    """

    network: str
    explainer: str
    images: int | None
    region_size: int
    title: str
    steps: int | None = None
    repeats: int | None = None
    random_orders: int | None = None


def checkpoint_settings(params: dict[str, Any], name: str) -> CheckpointSettings:
    """The settings of one training run. Errors as in :func:`panel_settings`."""
    where = f"params.yaml: checkpoints.{name}"
    return checked(CheckpointSettings, where, section(params, "checkpoints", name))


def load_test_split(name: str) -> Dataset:
    """The test images of a data set.

    Raises
    ------
    InputError
        If params.yaml has no such data set, or it has no test split.
    """
    folder = DATA / "datasets" / name / "test"
    if not (folder / "about.json").is_file():
        raise InputError(f"params.yaml: {name!r} must be a data set with a split `test`")
    return Dataset.load(folder)


def network_file(name: str) -> Path:
    """The file of a network that params.yaml calls ``data set/label``.

    Raises
    ------
    InputError
        If there is none.
    """
    path = DATA / "networks" / f"{name}.pt"
    if not path.is_file():
        raise InputError(
            f"params.yaml wants the network {name!r}, which no section of networks gives: it must be"
            " data set/label, as in objects/caffenet"
        )
    return path


def checkpoint_file(folder: Path, label: str, iteration: int) -> Path:
    """The file of a network after so many iterations of its training."""
    return folder / f"{label}-checkpoints" / f"{iteration:06d}.pt"


def require_same_classes(training: Dataset, test: Dataset, name: str) -> None:
    """A label must mean the same in both splits.

    Raises
    ------
    InputError
        If labels are missing, or the classes differ.
    """
    if training.labels is None or test.labels is None:
        raise InputError(f"the data set {name} has no labels to train a network on")
    if training.classes != test.classes:
        others = sorted(set(training.classes) ^ set(test.classes))
        raise InputError(
            f"the splits of the data set {name} have other classes: {', '.join(others[:5])} is in one"
            " of them only; give both the same class folders"
        )


def chosen_images(
    test: Dataset, images: int | None, limit: int | None, params: Mapping[str, Any], name: str
) -> Dataset:
    """A random sample of the test images, at most ``limit``; all where ``images`` is None."""
    count = min(x for x in (images, limit, len(test)) if x is not None)
    if count < 1:
        raise InputError(f"params.yaml: {name} needs at least one image")
    order = Stream(params["seed"], "panel", name).permutation(len(test))
    return test.take(np.sort(order[:count]))


@dataclass(frozen=True)
class StoredPanel:
    """The files of a panel.

    ``folder`` holds the images as the network's preprocessing frames them, ``network.pt``,
    ``logits.npy`` (N, classes) and ``prediction.json``.
    """

    folder: Path

    @property
    def network_file(self) -> Path:
        return self.folder / "network.pt"

    @property
    def files(self) -> list[Path]:
        """All files that say what is explained."""
        return sorted(self.folder.iterdir())

    def dataset(self) -> Dataset:
        return Dataset.load(self.folder)

    def network(self) -> tuple[nn.Module, Preprocessing]:
        """The network that is explained, on the best device, and its preprocessing."""
        model, preprocessing = load_network(self.network_file)
        return model.to(best_device()), preprocessing

    def targets(self) -> NDArray[np.int64]:
        """The predicted classes, (N,)."""
        return np.asarray(read_array(self.folder / "logits.npy")).argmax(axis=1)

    def save(
        self,
        dataset: Dataset,
        network: Path,
        logits: NDArray[np.float32],
        parameters: Mapping[str, Any],
    ) -> float | None:
        """Write the panel; returns the accuracy on its images, None where labels are not known."""
        dataset.save(self.folder, parameters)
        shutil.copyfile(network, self.network_file)
        write_array(self.folder / "logits.npy", logits)
        reached = None
        if dataset.labels is not None:
            reached = float((logits.argmax(axis=1) == dataset.labels).mean())
        about = {"accuracy": reached, "images": len(dataset), **metadata(parameters)}
        write_json(self.folder / "prediction.json", about)
        return reached
