"""MIT Places (Zhou et al. 2014): 5040 images of Places205's testing set, and a named substitute."""

from collections.abc import Mapping
from typing import Any

from aopc.base.checked import Count
from aopc.base.errors import InputError
from aopc.data.dataset import Dataset
from aopc.data.downloads.archives import fetch_subset
from aopc.data.downloads.source import Source, of_one_archive
from aopc.data.subset import Subset

_LICENCE = "non-commercial research and education"

#: 41,000 images of 256 × 256 pixels. No checksum is published; the size is that of its server.
PLACES205 = Source(
    name="testSetPlaces205_resize.tar.gz",
    page="http://places.csail.mit.edu/downloadData.html",
    licence=_LICENCE,
    urls=(
        "http://data.csail.mit.edu/places/places205/testSetPlaces205_resize.tar.gz",
        "http://places.csail.mit.edu/download_places/testSetPlaces205_resize.tar.gz",
    ),
    size=2_341_250_899,
    images=41_000,
)
#: 36,500 images of 256 × 256 pixels; the checksum is torchvision's.
PLACES365 = Source(
    name="val_256.tar",
    page="http://places2.csail.mit.edu/download.html",
    licence=_LICENCE,
    urls=("http://data.csail.mit.edu/places/places365/val_256.tar",),
    checksum="md5:e27b17d8d44f4af9a78502beb927f808",
    about=525_000_000,
    images=36_500,
)

needed_places205 = of_one_archive(PLACES205, "places205")
needed_places365 = of_one_archive(PLACES365, "places365")


def places205(*, split: str, seed: int, count: Count = 5040, archive: Mapping[str, Any] | None = None) -> Dataset:
    """A random sample of the testing set. Its labels were never published, and the paper needs none.

    Where the archive cannot be had, the message names the substitute, which is never taken without being asked for.
    """
    (source,) = needed_places205(split, {"archive": archive})
    try:
        return _sample(source, seed, count)
    except InputError as error:
        if not str(error).startswith("cannot download"):
            raise
        raise InputError(
            f"{error}. Or set the data set's source to places365-validation in params.yaml: other images of the same"
            " kind, so say so where you report them"
        ) from error


def places365_validation(
    *, split: str, seed: int, count: Count = 5040, archive: Mapping[str, Any] | None = None
) -> Dataset:
    """A random sample of Places365's validation set, in the place of Places205's testing set.

    Places365 is the later edition of the same data, with more categories. Labels are left out, since the network's
    are those of Places205.
    """
    (source,) = needed_places365(split, {"archive": archive})
    return _sample(source, seed, count)


def _sample(source: Source, seed: int, count: int) -> Dataset:
    images, checksums = fetch_subset(source, _image_id, Subset(count, "sample", seed))
    images.check()
    return Dataset(images, None, images.ids, (), files=checksums)


def _image_id(name: str) -> str | None:
    last = name.rpartition("/")[2]
    return last if last.lower().endswith(".jpg") and not last.startswith(".") else None
