"""The pipeline's files: one panel of the paper's figures on disk, data sets and networks."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import DamagedError, InputError
from aopc.base.files import digest_of, read_array, read_bytes, read_record, write_array, write_bytes, write_record
from aopc.base.random import Stream
from aopc.data.dataset import Dataset
from aopc.models.preprocessing import Preprocessing
from aopc.paper.folders import DATA


def test_split(name: str) -> Dataset:
    """The test images of a data set of params.yaml."""
    return Dataset.load(DATA / "datasets" / name / "test")


def network_file(name: str) -> Path:
    """The file of a network that params.yaml calls ``data set/label``."""
    return DATA / "networks" / f"{name}.pt"


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


def chosen_images(test: Dataset, images: int | None, limit: int | None, seed: int, name: str) -> Dataset:
    """A random sample of the test images, at most ``limit``, each counted once; all where ``images`` is None."""
    count = min(x for x in (images, limit, len(test)) if x is not None)
    if count < 1:
        raise InputError(f"params.yaml: {name} needs at least one image")
    order = Stream(seed, "panel", name).permutation(len(test))
    return test.take(np.sort(order[:count])).distinct(name)


def require_other_images(seen: dict[str, set[bytes]], dataset: Dataset, name: str) -> None:
    """Enter a panel's images in those ``seen`` so far, panel → contents; what some panels share is said.

    Raises
    ------
    InputError
        If all images of one panel are on another: a claim about both would count them twice.
    """
    own = set(dataset.digests())
    for other, known in seen.items():
        if own <= known or known <= own:
            raise InputError(
                f"params.yaml: the panels {other} and {name} show the same images, which would count twice in a claim:"
                " take stands_for out of one"
            )
        if shared := len(own & known):
            print(f"aopc: the panels {other} and {name} share {shared} images", file=sys.stderr)
    seen[name] = own


@dataclass(frozen=True)
class Panel:
    """The files of a panel, by its name.

    ``folder`` holds the images as the network's preprocessing frames them, ``network.pt``,
    ``logits.npy`` (N, classes) and ``prediction.json``.
    """

    name: str

    @property
    def folder(self) -> Path:
        return DATA / "panels" / self.name

    def heatmaps_file(self, explainer: str) -> Path:
        return DATA / "heatmaps" / self.name / explainer / "heatmaps.npy"

    def heatmaps(self, explainer: str) -> NDArray[np.float32]:
        """A memory map, (N, H, W)."""
        return read_array(self.heatmaps_file(explainer))

    def curves_file(self, explainer: str) -> Path:
        return DATA / "curves" / self.name / f"{explainer}.parquet"

    def control_file(self, condition: str, explainer: str) -> Path:
        return DATA / "controls" / self.name / condition / f"{explainer}.parquet"

    def dataset(self) -> Dataset:
        return Dataset.load(self.folder)

    def preprocessing(self) -> Preprocessing:
        """The network's."""
        said = read_record(self.folder / "prediction.json")["preprocessing"]
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
        return Preprocessing(**given)

    def logits(self) -> NDArray[np.float32]:
        """(N, classes)."""
        path, said = self.folder / "logits.npy", read_record(self.folder / "prediction.json")
        if digest_of(path) != said["logits"]:
            raise DamagedError(path, "is not the prediction that prediction.json is of")
        return np.asarray(read_array(path))

    def targets(self) -> NDArray[np.int64]:
        """The predicted classes, (N,)."""
        return self.logits().argmax(axis=1)

    def class_names(self, count: int | None = None) -> list[str]:
        """What the network predicts for the first images."""
        classes = self.dataset().classes
        return [classes[t] if t < len(classes) else f"class {t}" for t in self.targets()[:count]]

    def save(
        self,
        dataset: Dataset,
        network: Path,
        preprocessing: Preprocessing,
        logits: NDArray[np.float32],
        origin: Mapping[str, Any],
    ) -> float | None:
        """Write the panel; returns the accuracy on its images, None where labels are not known."""
        dataset.save(self.folder, origin)
        write_bytes(self.folder / "network.pt", read_bytes(network))
        write_array(self.folder / "logits.npy", logits)
        reached = None
        if dataset.labels is not None:
            reached = float((logits.argmax(axis=1) == dataset.labels).mean())
        about = {"accuracy": reached, "images": len(dataset), **origin}
        said = {**about, "preprocessing": asdict(preprocessing), "logits": digest_of(self.folder / "logits.npy")}
        write_record(self.folder / "prediction.json", said)
        return reached
