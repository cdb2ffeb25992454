"""MNIST and CIFAR-10 through torchvision, downloaded as everything else is."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.base.places import downloads_folder
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import read_members, unpacked
from aopc.data.downloads.fetch import fetch
from aopc.data.downloads.source import Source


def mnist_sources() -> dict[str, Source]:
    """Split and kind (``train images``, …) → file, with torchvision's mirrors and checksums."""
    from torchvision.datasets import MNIST

    sizes = {"train images": 9_900_000, "train labels": 29_000, "test images": 1_600_000, "test labels": 4_500}
    return {
        kind: Source(
            name=name,
            page="http://yann.lecun.com/exdb/mnist/",
            licence="Creative Commons Attribution-Share Alike 3.0",
            urls=tuple(mirror + name for mirror in MNIST.mirrors),
            checksum=f"md5:{md5}",
            about=about,
        )
        for (kind, about), (name, md5) in zip(sizes.items(), MNIST.resources, strict=True)
    }


def needed_mnist(split: str, settings: Mapping[str, Any]) -> list[Source]:
    """What :func:`mnist` would get with these settings: the images and the labels of the split."""
    sources, changes = mnist_sources(), settings.get("archives") or {}
    for kind in changes:
        if kind not in sources:
            raise InputError(f"unknown archive {kind!r} of mnist: {nearest(kind, sources)}")
    kinds = (f"{split} images", f"{split} labels")
    return [sources[kind].changed(changes.get(kind), f"the archive of {kind}") for kind in kinds]


def mnist(*, split: str, seed: int, archives: Mapping[str, Mapping[str, Any]] | None = None) -> Dataset:
    """Handwritten digits (LeCun et al. 1998), 60,000 to train and 10,000 to test, with two pixels of black around: 32
    × 32, as LeNet-5 had them.

    ``archives``: key of :func:`mnist_sources` â what to replace of its settings.
    """
    from torchvision.datasets.mnist import read_image_file, read_label_file

    files = [fetch(source, mnist_folder()) for source in needed_mnist(split, {"archives": archives})]
    images, labels = (
        _read(file.path, reader) for file, reader in zip(files, (read_image_file, read_label_file), strict=True)
    )
    checksums = {file.path.name: file.checksum for file in files}
    return _numbered(np.pad(images, ((0, 0), (2, 2), (2, 2))), labels, split, "0123456789", checksums)


def mnist_folder() -> Path:
    """MNIST's files have names that say little, so they have a folder of their own."""
    return downloads_folder() / "MNIST"


def _read(path: Path, reader: Callable[[str], Any]) -> NDArray[Any]:
    with _reading(path), tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        with path.open("rb") as packed, plain.open("wb") as file:
            shutil.copyfileobj(unpacked(packed), file)
        return reader(str(plain)).numpy()


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
    """CIFAR-10 (Krizhevsky 2009): 50,000 images to train and 10,000 to test, colour, 32 × 32 pixels."""
    from torchvision.datasets import CIFAR10

    (source,) = needed_cifar10(split, {"archive": archive})
    file = fetch(source, downloads_folder())
    known = dict(CIFAR10.train_list + CIFAR10.test_list)
    known[CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]
    members = read_members(file, set(known))
    # Unpickled are only files whose checksums torchvision knows, whatever the archive's is.
    if any(hashlib.md5(members[name]).hexdigest() != md5 for name, md5 in known.items()):
        raise InputError(f"{file.path} holds other files than CIFAR-10's: remove it and get it again")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / CIFAR10.base_folder
        base.mkdir()
        for name, content in members.items():
            (base / name).write_bytes(content)
        with _reading(file.path):
            found = CIFAR10(folder, train=split == "train")
    labels = np.array(found.targets)
    return _numbered(np.asarray(found.data), labels, split, found.classes, {source.name: file.checksum})


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    # torchvision fails in whatever way a damaged file makes numpy, gzip or pickle fail.
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"torchvision cannot read {path}: remove it and get it again ({reason})") from error


def _numbered(
    images: NDArray[np.uint8], labels: NDArray[Any], split: str, classes: Iterable[str], files: Mapping[str, str]
) -> Dataset:
    ids = tuple(f"{split}-{i:05d}" for i in range(len(images)))
    return Dataset(images, labels.astype(np.int64), ids, tuple(classes), files=files)
