"""SUN397 (Xiao et al. 2010): the paper's 5040 images of categories that MIT Places has too."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from aopc.base.checked import Count
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import fetch_subset
from aopc.data.downloads.source import Source, of_one_archive
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
#: SUN397/b/bakery/shop/sun_….jpg: the path of an image behind the letter, and its category in that.
_IMAGE = re.compile(r"SUN397/[^/]/((.+)/[^/]*\.(?i:jpg))")

needed = of_one_archive(SUN397, "sun397")


def shared_categories() -> dict[str, tuple[str, int]]:
    """SUN397's category → (Places205's name of it, its index among the network's outputs)."""
    text = files("aopc.data.sources").joinpath("sun397_places205.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return {sun: (places, int(index)) for sun, places, index in rows[1:]}


def sun397(*, split: str, seed: int, count: Count = 5040, archive: Mapping[str, Any] | None = None) -> Dataset:
    """A random sample of the images whose category is one of Places205's 205; labels are those. There is one split.

    The paper does not say which 5040 it took. There are 68,879 to choose from; the sample is the same for everyone
    with the same seed.
    """
    (source,) = needed(split, {"archive": archive})
    categories = shared_categories()

    def image_id(name: str) -> str | None:
        found = _IMAGE.fullmatch(name)
        return found[1] if found and found[2] in categories else None

    images, checksums = fetch_subset(source, image_id, Subset(count, "sample", seed))
    images.check()
    labels = np.array([categories[i.rpartition("/")[0]][1] for i in images.ids], dtype=np.int64)
    names = sorted(categories.values(), key=lambda category: category[1])
    return Dataset(images, labels, images.ids, tuple(name for name, _ in names), files=checksums)
