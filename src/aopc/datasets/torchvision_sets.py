"""MNIST and CIFAR-10 through torchvision, downloaded as everything else is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.datasets.dataset import Dataset
from aopc.downloads.fetch import fetch
from aopc.downloads.source import Source
from aopc.errors import InputError
from aopc.repository import downloads_folder

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
    from torchvision.datasets import MNIST

    downloads, checksums = downloads_folder(), {}
    resources = []
    for source in needed_mnist(split, {"archives": archives}):
        file = fetch(source, downloads / "MNIST" / "raw")
        checksums[source.name] = file.checksum
        algorithm, _, digest = file.checksum.partition(":")
        resources.append((source.name, digest if algorithm == "md5" else None))
    # The files of one split are enough. torchvision unpacks what it finds downloaded, and asks its
    # mirror, here none, only for what is missing.
    one_split = type("MNIST", (MNIST,), {"resources": resources, "mirrors": ["none:"]})
    found = _read(lambda: one_split(str(downloads), train=split == "train", download=True), "MNIST")
    images = np.pad(found.data.numpy(), ((0, 0), (2, 2), (2, 2)))
    return _numbered(images, found.targets.numpy(), split, _DIGITS, checksums)


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
    downloads = downloads_folder()
    file = fetch(source, downloads)
    found = _read(
        lambda: CIFAR10(str(downloads), train=split == "train", download=True), "CIFAR-10"
    )
    return _numbered(
        np.asarray(found.data),
        np.array(found.targets),
        split,
        tuple(found.classes),
        {source.name: file.checksum},
    )


def _read(read: Any, name: str) -> Any:
    try:
        return read()
    # torchvision fails in whatever way a damaged file makes numpy, gzip or pickle fail.
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"torchvision cannot read {name} in {downloads_folder()}: remove it there and get it again"
            f" ({reason})"
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
