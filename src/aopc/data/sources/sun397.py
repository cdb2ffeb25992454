"""SUN397 (Xiao et al. 2010): the paper's 5040 images of categories that MIT Places has too."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from aopc.base.places import downloads_folder
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import unpack_subset
from aopc.data.downloads.fetch import fetch
from aopc.data.downloads.source import Source
from aopc.data.folder import ImageFolder
from aopc.data.subset import Subset

#: The checksum is torchvision's.
SUN397 = Source(
    name="SUN397.tar.gz",
    page="https://vision.princeton.edu/projects/2010/SUN/",
    licence="research; the copyright of each image is its owner's",
    urls=(
        "https://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
        "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
    ),
    checksum="md5:8ca2778205c41d23104230ba66911c7a",
    about=39_000_000_000,
    images=108_754,
)


def shared_categories() -> dict[str, tuple[str, int]]:
    """SUN397's category → (Places205's name of it, its index among the network's outputs)."""
    text = files("aopc.data.sources").joinpath("sun397_places205.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return {sun: (places, int(index)) for sun, places, index in rows[1:]}


def needed(split: str, settings: Mapping[str, Any]) -> list[Source]:
    """What :func:`sun397` would get with these settings."""
    return [SUN397.changed(settings.get("archive"), "the archive of sun397")]


def sun397(
    *, split: str, seed: int, count: int = 5040, archive: Mapping[str, Any] | None = None
) -> Dataset:
    """A random sample of the images whose category is one of Places205's 205; labels are those.

    The paper does not say which 5040 it took. There are 68,879 to choose from; the sample is the
    same for everyone with the same seed.

    Parameters
    ----------
    split
        Not used: there is one subset.
    seed
        Of the sample.
    count
        The paper: 5040.
    archive
        Settings of :class:`Source` to replace, such as the URL of your institute's mirror.

    Raises
    ------
    InputError
        If the archive cannot be had, or is damaged.
    """
    (source,) = needed(split, {"archive": archive})
    downloads, categories = downloads_folder(), shared_categories()

    def image_id(name: str) -> str | None:
        # SUN397/b/bakery/shop/sun_….jpg
        top, _, rest = name.partition("/")
        letter, _, path = rest.partition("/")
        image = top == "SUN397" and len(letter) == 1 and path.lower().endswith(".jpg")
        return path if image and path.rpartition("/")[0] in categories else None

    file = fetch(source, downloads)
    subset = Subset(count, "sample", seed)
    root, ids = unpack_subset(file, downloads / "subsets", image_id, subset)
    images = ImageFolder(root, tuple(ids))
    images.check()
    names = {index: name for name, index in categories.values()}
    labels = [categories[i.rpartition("/")[0]][1] for i in ids]
    return Dataset(
        images,
        np.array(labels, dtype=np.int64),
        images.ids,
        tuple(names[i] for i in range(len(names))),
        files={source.name: file.checksum},
    )
