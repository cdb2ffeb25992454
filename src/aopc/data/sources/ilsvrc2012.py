"""ILSVRC2012's validation set (Russakovsky et al. 2015): the paper's first 5040 images."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aopc.base.errors import InputError
from aopc.base.places import downloads_folder
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import unpack_subset
from aopc.data.downloads.fetch import fetch, is_here
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
    *,
    split: str,
    seed: int,
    count: int = 5040,
    folder: str | None = None,
    archive: Mapping[str, Any] | None = None,
) -> Dataset:
    """The first ``count`` images of the validation set in the order of their official names.

    They come from the archive, or from a folder where it was unpacked, flat or with one subfolder a
    class; both give the same images under the same ids. Labels are known from class folders only
    (by the order of their WordNet ids, as networks have their outputs).

    Parameters
    ----------
    split, seed
        Not used: there is one subset.
    count
        The paper: 5040.
    folder
        Where the images are unpacked; None: the archive, or a folder of its name without ``.tar``
        beside it.
    archive
        Settings of :class:`Source` to replace, such as the URL of your institute's mirror.

    Raises
    ------
    InputError
        If neither is there; the message says which file to get, from where, and where to put it.
    """
    source = ILSVRC2012.changed(archive, "the archive of ilsvrc2012")
    downloads = downloads_folder()
    unpacked = _unpacked(source, folder)
    if unpacked is not None:
        return _from_folder(unpacked, count)
    if not source.urls and not is_here(source, downloads):
        raise InputError(
            f"{source.instructions(downloads)}; or put the unpacked images into"
            f" {_folder_beside(source)}, or name their folder as `folder` of the data set in params.yaml"
        )
    file = fetch(source, downloads)
    root, ids = unpack_subset(file, downloads / "subsets", _image_id, Subset(count, "first"))
    _require_first(ids, file.path)
    images = ImageFolder(root, tuple(ids))
    images.check()
    return Dataset(images, None, images.ids, (), files={source.name: file.checksum})


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


def _require_first(ids: Iterable[str], where: Path) -> None:
    """The first images are numbered from 1 without a gap, so a missing one shows."""
    for i, image_id in enumerate(ids, start=1):
        expected = f"ILSVRC2012_val_{i:08d}.JPEG"
        if image_id != expected:
            raise InputError(
                f"{where} lacks {expected}: it is not the whole validation set; complete it"
            )


def _from_folder(root: Path, count: int) -> Dataset:
    found: dict[str, str] = {}
    for path in image_folder(root).ids:
        image_id = _image_id(path)
        if image_id in found:
            raise InputError(f"{root} holds {image_id} twice: {found[image_id]} and {path}")
        if image_id is not None:
            found[image_id] = path
    if len(found) < count:
        raise InputError(
            f"{root} holds {len(found)} images named ILSVRC2012_val_….JPEG, but {count} are wanted: it is"
            " not the whole validation set; or lower the count"
        )
    ids = Subset(count, "first").of(found)
    _require_first(ids, root)
    images = ImageFolder(root, tuple(ids), tuple(found[i] for i in ids))
    images.check()
    synsets = sorted(p.name for p in root.iterdir() if re.fullmatch(r"n\d{8}", p.name))
    labels = images.labels(synsets) if len(synsets) == _SYNSETS else None
    if labels is None:
        return Dataset(images, None, images.ids, ())
    return Dataset(images, np.array(labels, dtype=np.int64), images.ids, tuple(synsets))
