"""A data set in memory and on disk."""

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aopc.base import sealed
from aopc.base.errors import DamagedError, InputError
from aopc.base.files import atomic, digest_of, is_whole, read_array, read_record, write_array, write_record
from aopc.base.machine import require_memory
from aopc.base.names import listed
from aopc.base.progress import progress_bar
from aopc.data.folder import ImageFolder, content_hash


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
        if not is_whole(file):
            with atomic(file) as temporary:
                self._frames(frame, partial(_mapped, temporary))
                sealed.append(temporary, file, {})
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

    def digests(self) -> list[bytes]:
        """Of the content of each image: its pixels, or its file."""
        images = self.images
        if isinstance(images, ImageFolder):
            return [hashlib.blake2b(images.path(i).read_bytes(), digest_size=16).digest() for i in self.ids]
        return [hashlib.blake2b(pixels.tobytes(), digest_size=16).digest() for pixels in images]

    def distinct(self, name: str) -> "Dataset":
        """The images of the data set ``name``, each once: an exact copy of another is no further sample, and would
        narrow every interval. What is left out is said on standard error.
        """
        first: dict[bytes, str] = {}
        firsts = [first.setdefault(digest, i) for i, digest in zip(self.ids, self.digests(), strict=True)]
        copies = [f"{i} (as {of})" for i, of in zip(self.ids, firsts, strict=True) if i != of]
        if not copies:
            return self
        print(f"aopc: {name}: left out {len(copies)} copies of other images: {listed(copies)}", file=sys.stderr)
        return self.take(np.flatnonzero(np.array(self.ids, dtype=object) == np.array(firsts, dtype=object)))

    def save(self, folder: Path, origin: Mapping[str, Any]) -> None:
        """Write ``images.npy`` or ``images/``, ``labels.npy``, ``masks.npy`` and ``about.json``, which says where
        they are from (:func:`aopc.base.provenance.metadata`) and what their content is.
        """
        arrays = {"images": self.images, "labels": self.labels, "masks": self.masks}
        contents: dict[str, str] = {}
        for name, values in arrays.items():
            if isinstance(values, ImageFolder):
                contents |= {f"{name}/{i}": digest for i, digest in _copied(values, folder / name).items()}
            elif values is not None:
                write_array(folder / f"{name}.npy", values)
                contents[name] = digest_of(folder / f"{name}.npy")
        files = {"files": dict(self.files)} if self.files else {}
        about = {"ids": list(self.ids), "classes": list(self.classes), **files, **origin, "contents": contents}
        write_record(folder / "about.json", about)

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what :meth:`save` wrote; arrays as memory maps. A DamagedError if one is not what belongs there."""
        about = read_record(folder / "about.json")
        contents, ids = about["contents"], tuple(about["ids"])
        found: dict[str, NDArray[Any]] = {}
        for name in contents.keys() & {"images", "labels", "masks"}:
            path = folder / f"{name}.npy"
            if digest_of(path) != contents[name]:
                raise DamagedError(path, f"belongs to another data set than {folder / 'about.json'}")
            found[name] = read_array(path)
        digests = {i: contents[f"images/{i}"] for i in ids} if "images" not in found else None
        images = found.get("images", ImageFolder(folder / "images", ids, digests=digests))
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


def _copied(images: ImageFolder, folder: Path) -> dict[str, str]:
    """Copy image files; returns a hash of each by its id, from which half a copy shows."""
    digests = {}
    try:
        for image_id in images.ids:
            content, target = images.read(image_id), folder / image_id
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            digests[image_id] = content_hash(content)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    return digests
