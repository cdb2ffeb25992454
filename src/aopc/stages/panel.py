"""One panel of the paper's figures on disk: images, the network that is explained, its predictions."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.datasets.dataset import Dataset
from aopc.models.inference import best_device
from aopc.models.network_file import load_network
from aopc.models.preprocessing import Preprocessing
from aopc.tables import metadata, read_array, write_array, write_json

#: The network of a data set that is explained; others serve single figures.
EXPLAINED = "pooling.pt"


@dataclass(frozen=True)
class StoredPanel:
    """The files of a panel.

    ``folder`` holds the data set's files, ``network.pt``, ``logits.npy`` (N, classes) and
    ``prediction.json``.
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

    def load(self) -> tuple[Dataset, nn.Module, Preprocessing, Tensor]:
        """The data set, the network, its preprocessing, and the images in its input space."""
        dataset = self.dataset()
        model, preprocessing = self.network()
        return dataset, model, preprocessing, preprocessing.normalise(np.asarray(dataset.images))

    def save(
        self,
        dataset: Dataset,
        network: Path,
        logits: NDArray[np.float32],
        parameters: Mapping[str, Any],
    ) -> float:
        """Write the panel; returns the accuracy on its images."""
        dataset.save(self.folder, parameters)
        shutil.copyfile(network, self.network_file)
        write_array(self.folder / "logits.npy", logits)
        reached = float((logits.argmax(axis=1) == dataset.labels).mean())
        about = {"accuracy": reached, "images": len(dataset), **metadata(parameters)}
        write_json(self.folder / "prediction.json", about)
        return reached
