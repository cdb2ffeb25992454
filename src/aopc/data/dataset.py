"""A data set in memory and on disk."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aopc.base.errors import InputError
from aopc.base.files import atomic, read_array, read_json, write_array, write_json
from aopc.base.machine import require_memory
from aopc.base.progress import progress_bar
from aopc.data.folder import ImageFolder


@dataclass(frozen=True)
class Dataset:
    """Images, with labels where there are any.

    Attributes
    ----------
    images
        (N, H, W, 3) uint8 RGB, (N, H, W) uint8 grey, or files of any size, which a network's preprocessing frames.
    labels
        (N,) int64, None where they are not known.
    ids
        N different names, which key the random values of an image.
    classes
        Class names by label.
    masks
        (N, H, W) bool: the pixels of what the label names, where that is known.
    files
        Name → checksum of the published files that the images come from.
    """

    images: NDArray[np.uint8] | ImageFolder
    labels: NDArray[np.int64] | None
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    masks: NDArray[np.bool_] | None = None
    files: Mapping[str, str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The images as one array; an InputError if they are files of any size."""
        if isinstance(self.images, ImageFolder):
            raise InputError(
                "the images of this data set are files of any size: give it a size in params.yaml to train a network"
                " on it"
            )
        return self.images

    def take(self, indices: NDArray[np.integer]) -> "Dataset":
        """The images at ``indices``, in that order."""
        ids = tuple(self.ids[i] for i in indices)
        images = self.images.take(ids) if isinstance(self.images, ImageFolder) else np.asarray(self.images[indices])
        labels = None if self.labels is None else self.labels[indices]
        masks = None if self.masks is None else np.asarray(self.masks[indices])
        return replace(self, images=images, labels=labels, ids=ids, masks=masks)

    def framed(
        self, frame: Callable[[Image.Image], NDArray[np.uint8]], *, as_they_are: bool = False, file: Path | None = None
    ) -> "Dataset":
        """The data set as one array of the frames that a network sees, all of one size.

        Parameters
        ----------
        frame
            From an image to the part of it that the network sees, uint8.
        as_they_are
            The frame of an array's image is the image itself, which saves the work. Masks are lost otherwise.
        file
            Where to keep the frames, as ``.npy`` that is mapped into memory, and to find them again; None: in memory.

        Raises
        ------
        InputError
            If a file is no whole image, or the frames differ in size.
        """
        if as_they_are and not isinstance(self.images, ImageFolder):
            return self
        if file is None:
            return replace(self, images=self._frames(frame, np.empty), masks=None)
        if not file.is_file():
            with atomic(file) as temporary:
                self._frames(frame, partial(_mapped, temporary))
        return replace(self, images=read_array(file), masks=None)

    def _frames(self, frame: Callable[[Image.Image], NDArray[np.uint8]], new: Callable[..., Any]) -> NDArray[np.uint8]:
        images, frames = self.images, None
        with progress_bar(len(self), "load images") as progress:
            for i, image_id in enumerate(self.ids):
                whole = images.load(image_id) if isinstance(images, ImageFolder) else Image.fromarray(images[i])
                one = named_frame(frame, whole, image_id)
                if frames is None:
                    if new is np.empty:
                        require_memory(len(self) * one.nbytes, f"{len(self)} images")
                    frames = new(shape=(len(self), *one.shape), dtype=np.uint8)
                if one.shape != frames.shape[1:]:
                    raise InputError(
                        f"the image {image_id} has the shape {one.shape} and others {frames.shape[1:]}: the network's"
                        " preprocessing must resize them"
                    )
                frames[i] = one
                progress(1)
        assert frames is not None
        return frames

    def save(self, folder: Path, origin: Mapping[str, Any]) -> None:
        """Write ``images.npy`` or ``images/``, ``labels.npy``, ``masks.npy`` and ``about.json``, which says where
        they are from (:func:`aopc.base.provenance.metadata`).
        """
        if isinstance(self.images, ImageFolder):
            _copy_files(self.images, folder / "images")
        else:
            write_array(folder / "images.npy", self.images)
        for name, values in (("labels", self.labels), ("masks", self.masks)):
            if values is not None:
                write_array(folder / f"{name}.npy", values)
        files = {"files": dict(self.files)} if self.files else {}
        write_json(folder / "about.json", {"ids": list(self.ids), "classes": list(self.classes), **files, **origin})

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what :meth:`save` wrote; arrays as memory maps."""
        about = read_json(folder / "about.json")
        paths = {name: folder / f"{name}.npy" for name in ("images", "labels", "masks")}
        found = {name: read_array(path) for name, path in paths.items() if path.exists()}
        ids = tuple(about["ids"])
        images = found.get("images", ImageFolder(folder / "images", ids))
        labels = np.asarray(found["labels"]) if "labels" in found else None
        return cls(images, labels, ids, tuple(about["classes"]), found.get("masks"), about.get("files"))


def named_frame(
    frame: Callable[[Image.Image], NDArray[np.uint8]], image: Image.Image, image_id: str
) -> NDArray[np.uint8]:
    """The frame of an image; where that is refused, the image is named."""
    try:
        return frame(image)
    except InputError as error:
        raise InputError(f"the image {image_id} is refused: {error}") from error


def _mapped(path: Path, shape: tuple[int, ...], dtype: Any) -> NDArray[np.uint8]:
    """A new array in a file whose blocks are there: a full disk would end the program at the first write to one."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except (AttributeError, OSError) as error:  # not every system can
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
    return array


def _copy_files(images: ImageFolder, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for image_id in images.ids:
            target = folder / image_id
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(images.path(image_id), target)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
