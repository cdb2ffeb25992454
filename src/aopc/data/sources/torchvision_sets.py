"""MNIST and CIFAR-10 through torchvision, downloaded as everything else is."""

import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.base.places import downloads_folder
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import read_members
from aopc.data.downloads.fetch import fetch
from aopc.data.downloads.source import Source

_DIGITS = tuple("0123456789")


def mnist_sources() -> dict[str, Source]:
    """Split and kind (``train images``, …) → file, with torchvision's mirrors and checksums."""
    from torchvision.datasets import MNIST

    kinds = {
        "train images": 9_900_000,
        "train labels": 29_000,
        "test images": 1_600_000,
        "test labels": 4_500,
    }
    return {
        kind: Source(
            name=name,
            page="http://yann.lecun.com/exdb/mnist/",
            licence="Creative Commons Attribution-Share Alike 3.0",
            urls=tuple(mirror + name for mirror in MNIST.mirrors),
            checksum=f"md5:{md5}",
            about=about,
        )
        for (kind, about), (name, md5) in zip(kinds.items(), MNIST.resources, strict=True)
    }


def needed_mnist(split: str, settings: Mapping[str, Any]) -> list[Source]:
    """What :func:`mnist` would get with these settings: the images and the labels of the split."""
    changes = settings.get("archives") or {}
    for kind in changes:
        if kind not in mnist_sources():
            raise InputError(f"unknown archive {kind!r} of mnist: {nearest(kind, mnist_sources())}")
    kinds = [f"{split} {kind}" for kind in ("images", "labels")]
    return [mnist_sources()[k].changed(changes.get(k), f"the archive of {k}") for k in kinds]


def mnist(
    *, split: str, seed: int, archives: Mapping[str, Mapping[str, Any]] | None = None
) -> Dataset:
    """Handwritten digits (LeCun et al. 1998), with two pixels of black around: 32 × 32, as LeNet-5
    had them.

    Parameters
    ----------
    split
        "train" (60,000 images) or "test" (10,000).
    seed
        Not used.
    archives
        ``train images`` and the like → settings of :class:`Source` to replace.

    Raises
    ------
    InputError
        If a file cannot be had, or is damaged.
    """
    from torchvision.datasets.mnist import read_image_file, read_label_file

    checksums, read = {}, []
    readers = (read_image_file, read_label_file)
    sources = needed_mnist(split, {"archives": archives})
    for source, reader in zip(sources, readers, strict=True):
        file = fetch(source, mnist_folder())
        checksums[source.name] = file.checksum
        read.append(_read(partial(_from_gzip, reader, file.path), file.path).numpy())
    images, labels = read
    return _numbered(np.pad(images, ((0, 0), (2, 2), (2, 2))), labels, split, _DIGITS, checksums)


def mnist_folder() -> Path:
    """MNIST's files have names that say little, so they have a folder of their own."""
    return downloads_folder() / "MNIST"


def _from_gzip(reader: Callable[[str], Any], path: Path) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / path.stem
        with gzip.open(path) as packed, unpacked.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        return reader(str(unpacked))


def cifar10_source() -> Source:
    """The archive, with torchvision's URL and checksum."""
    from torchvision.datasets import CIFAR10

    return Source(
        name=CIFAR10.filename,
        page="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated; research",
        urls=(CIFAR10.url,),
        checksum=f"md5:{CIFAR10.tgz_md5}",
        about=170_500_000,
    )


def needed_cifar10(split: str, settings: Mapping[str, Any]) -> list[Source]:
    """What :func:`cifar10` would get with these settings."""
    return [cifar10_source().changed(settings.get("archive"), "the archive of cifar10")]


def cifar10(*, split: str, seed: int, archive: Mapping[str, Any] | None = None) -> Dataset:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 colour images of 32 × 32 pixels.

    Parameters
    ----------
    split
        "train" or "test".
    seed
        Not used.
    archive
        Settings of :class:`Source` to replace.

    Raises
    ------
    InputError
        If the archive cannot be had, or is damaged.
    """
    from torchvision.datasets import CIFAR10

    (source,) = needed_cifar10(split, {"archive": archive})
    file = fetch(source, downloads_folder())
    batches = CIFAR10.train_list if split == "train" else CIFAR10.test_list
    names = {name for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list]}
    members = read_members(file, {*names, CIFAR10.meta["filename"]})
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / CIFAR10.base_folder
        base.mkdir()
        for name, content in members.items():
            (base / name).write_bytes(content)
        # Unpickled are only files whose checksums torchvision knows, whatever the archive's is.
        known = all(
            hashlib.md5(members[name]).hexdigest() == md5
            for name, md5 in [*batches, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
        )
        if not known:
            raise InputError(
                f"{file.path} holds other files than CIFAR-10's: remove it and get it again"
            )
        found = _read(lambda: CIFAR10(folder, train=split == "train"), file.path)
    return _numbered(
        np.asarray(found.data),
        np.array(found.targets),
        split,
        tuple(found.classes),
        {source.name: file.checksum},
    )


def _read(read: Callable[[], Any], path: Path) -> Any:
    try:
        return read()
    # torchvision fails in whatever way a damaged file makes numpy, gzip or pickle fail.
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"torchvision cannot read {path}: remove it and get it again ({reason})"
        ) from error


def _numbered(
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    split: str,
    classes: tuple[str, ...],
    files: dict[str, str],
) -> Dataset:
    ids = tuple(f"{split}-{i:05d}" for i in range(len(images)))
    return Dataset(images, labels.astype(np.int64), ids, classes, files=files)
