"""What is explained: a network and its decisions on some images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aopc.data.dataset import Dataset
from aopc.models.network import Network


@dataclass(frozen=True)
class Subject:
    """Attributes
    ----------
    name
        Of the data set, in results.
    network, batch_size
        On the device to use; images a forward pass, None: by network, image size and device.
    images
        As frames (:meth:`aopc.models.preprocessing.Preprocessing.frame`).
    targets
        (N,) int64: the classes to explain, the predicted ones.
    inputs
        Hashes of all files that determine the above.
    doubts
        What the user should know of the network's decisions on these images.
    """

    name: str
    network: Network
    images: Dataset
    targets: NDArray[np.int64]
    inputs: Sequence[str] = field(default=())
    batch_size: int | None = None
    doubts: Sequence[str] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return self.images.ids

    def pixels(self, rows: slice) -> Tensor:
        """Some images in the model's input space, (n, C, H, W)."""
        return self.network.inputs(np.asarray(self.images.pixels[rows]))

    def take(self, rows: NDArray[np.int64]) -> "Subject":
        """On some of the images."""
        return replace(self, images=self.images.take(rows), targets=self.targets[rows])
