"""A data set in memory and on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.tables import metadata, read_array, read_json, write_array, write_json


@dataclass(frozen=True)
class Dataset:
    """Images with labels.

    Attributes
    ----------
    images
        (N, H, W, 3) uint8 RGB, or (N, H, W) uint8 grey.
    labels
        (N,) int64.
    ids
        N different names, which key the random values of an image.
    classes
        Class names by label.
    masks
        (N, H, W) bool: the pixels of what the label names, where that is known.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    masks: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.integer]) -> "Dataset":
        """The images at ``indices``, in that order."""
        return Dataset(
            np.asarray(self.images[indices]),
            self.labels[indices],
            tuple(self.ids[i] for i in indices),
            self.classes,
            None if self.masks is None else np.asarray(self.masks[indices]),
        )

    def save(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        """Write ``images.npy``, ``labels.npy``, ``masks.npy`` and ``about.json`` to a folder."""
        write_array(folder / "images.npy", self.images)
        write_array(folder / "labels.npy", self.labels)
        if self.masks is not None:
            write_array(folder / "masks.npy", self.masks)
        about = {"ids": list(self.ids), "classes": list(self.classes), **metadata(parameters)}
        write_json(folder / "about.json", about)

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what :meth:`save` wrote; the images as memory maps."""
        about = read_json(folder / "about.json")
        masks = folder / "masks.npy"
        return cls(
            images=read_array(folder / "images.npy"),
            labels=np.asarray(read_array(folder / "labels.npy")),
            ids=tuple(about["ids"]),
            classes=tuple(about["classes"]),
            masks=read_array(masks) if masks.exists() else None,
        )
