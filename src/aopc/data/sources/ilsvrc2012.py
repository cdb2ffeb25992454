"""ILSVRC2012's validation set (Russakovsky et al. 2015): the paper's first 5040 images."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aopc.base.checked import Count, Text
from aopc.base.errors import InputError
from aopc.base.places import downloads_folder
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import fetch_subset
from aopc.data.downloads.fetch import is_here
from aopc.data.downloads.source import Source
from aopc.data.folder import ImageFolder, image_folder
from aopc.data.subset import Subset

#: Size and checksum as its publishers give them; torchvision has the same.
ILSVRC2012 = Source(
    name="ILSVRC2012_img_val.tar",
    page="https://image-net.org/download-images",
    licence="non-commercial research and education, after registration",
    size=6_744_924_160,
    checksum="md5:29b22e2961454d5413ddabcf34fc5622",
    images=50_000,
)
_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPE?G", re.IGNORECASE)
_SYNSETS = 1000


def needed(split: str, settings: Mapping[str, Any]) -> list[Source]:
    """What :func:`ilsvrc2012` would get with these settings."""
    source = ILSVRC2012.changed(settings.get("archive"), "the archive of ilsvrc2012")
    return [] if _unpacked(source, settings.get("folder")) else [source]


def ilsvrc2012(
    *, split: str, seed: int, count: Count = 5040, folder: Text | None = None, archive: Mapping[str, Any] | None = None
) -> Dataset:
    """The first ``count`` images of the validation set in the order of their official names; there is one split.

    They come from the archive, or from a ``folder`` where it was unpacked, flat or with one subfolder a class; both
    give the same images under the same ids. Without a folder it is the archive, or a folder of its name without
    ``.tar`` beside it. Labels are known from class folders only (by the order of their WordNet ids, as networks have
    their outputs). If neither is there, the message says which file to get, from where, and where to put it.
    """
    source = ILSVRC2012.changed(archive, "the archive of ilsvrc2012")
    downloads, unpacked = downloads_folder(), _unpacked(source, folder)
    if unpacked is not None:
        return _from_folder(unpacked, count)
    if not source.urls and not is_here(source, downloads):
        raise InputError(
            f"{source.instructions(downloads)}; or put the unpacked images into {_folder_beside(source)}, or name their"
            " folder as `folder` of the data set in params.yaml"
        )
    images, checksums = fetch_subset(source, _image_id, Subset(count, "first"))
    _check(images, downloads / source.name)
    return Dataset(images, None, images.ids, (), files=checksums)


def _folder_beside(source: Source) -> Path:
    return downloads_folder() / Path(source.name).stem


def _unpacked(source: Source, folder: str | None) -> Path | None:
    """The folder of unpacked images that is to be used, None where it is the archive."""
    if folder:
        return Path(folder)
    beside = _folder_beside(source)
    return beside if beside.is_dir() and not is_here(source, downloads_folder()) else None


def _image_id(name: str) -> str | None:
    """The official name of an image, however its file is spelt: it keys the image's noise."""
    found = _IMAGE.fullmatch(name.rpartition("/")[2])
    return f"ILSVRC2012_val_{found[1]}.JPEG" if found else None


def _check(images: ImageFolder, where: Path) -> None:
    """The first images are numbered from 1 without a gap, so a missing one shows; all are whole."""
    for i, image_id in enumerate(images.ids, start=1):
        expected = f"ILSVRC2012_val_{i:08d}.JPEG"
        if image_id != expected:
            raise InputError(f"{where} lacks {expected}: it is not the whole validation set; complete it")
    images.check()


def _from_folder(root: Path, count: int) -> Dataset:
    found: dict[str, str] = {}
    every = image_folder(root)
    for path in every.paths or every.ids:
        image_id = _image_id(path)
        if image_id in found:
            raise InputError(f"{root} holds {image_id} twice: {found[image_id]} and {path}")
        if image_id is not None:
            found[image_id] = path
    if len(found) < count:
        raise InputError(
            f"{root} holds {len(found)} images named ILSVRC2012_val_….JPEG, but {count} are wanted: it is not the whole"
            " validation set; or lower the count"
        )
    images = ImageFolder(root, tuple(found), tuple(found.values())).subset(Subset(count, "first"))
    _check(images, root)
    synsets = sorted(p.name for p in root.iterdir() if re.fullmatch(r"n\d{8}", p.name))
    labels = images.labels(synsets) if len(synsets) == _SYNSETS else None
    return Dataset(images, labels, images.ids, () if labels is None else tuple(synsets))
