"""The contract tests of a removal and of a partition, for the user's own as for ours.

>>> check_removal("uniform")
>>> from aopc.perturbation.partition import Grid
>>> check_partition(Grid(13, 10, 4))
"""

from collections.abc import Iterator

import numpy as np

from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.perturbation.order import heatmap_orders
from aopc.perturbation.partition import Partition, boxes_of
from aopc.perturbation.removal import Imputer, Removal, removal_named
from aopc.perturbation.value_range import Image, ValueRange

#: Whether it holds, and what is said if not.
_Check = tuple[bool | np.bool_, str]


def check_removal(removal: str | Removal) -> None:
    """Whether a removal keeps its contract (:mod:`aopc.perturbation.removal.contract`); InputError says what is off.

    It gives a float32 image of the same shape, finite, the same for the same stream, and leaves what it is given as
    it was; an imputer leaves the pixels that are not removed.
    """
    _require("removal", _of_removal(removal_named(removal)))


def _of_removal(remove: Removal) -> Iterator[_Check]:
    values = ValueRange((-1.0, 0.0, 2.0), (1.0, 3.0, 5.0))
    image = values.scale(Stream(0, "check").uniform((3, 12, 10)))
    removed = np.zeros((12, 10), dtype=bool)
    removed[2:7, 3:9] = True
    given = image.copy()

    def replaced() -> Image:
        stream = Stream(0, "noise", "image", 0)
        if isinstance(remove, Imputer):
            return remove(given, removed, values, stream)
        return remove(given, values, stream)

    found = replaced()
    yield found.shape == image.shape, f"it returns the shape {found.shape}"
    yield found.dtype == np.float32, f"it returns {found.dtype}, not float32"
    yield np.isfinite(found).all(), "it returns NaN or infinite values"
    yield np.array_equal(given, image), "it changes the image that it is given"
    yield np.array_equal(replaced(), found), "the same stream gives another image"
    if isinstance(remove, Imputer):
        kept = np.array_equal(found[:, ~removed], image[:, ~removed])
        yield kept, "it changes pixels that are not removed"


def check_partition(partition: Partition) -> None:
    """Whether a :class:`aopc.perturbation.partition.Partition` keeps its contract; InputError says what is off.

    Every pixel belongs to one region and every region has a pixel, boxes and scores are those of its label map, and
    orders hold each region once, those that come last at the end.
    """
    _require("partition", _of_partition(partition))
    partition.check_steps(partition.count)


def _of_partition(partition: Partition) -> Iterator[_Check]:
    labels, shape = partition.region_of_pixel, (partition.height, partition.width)
    yield labels.shape == shape and labels.dtype == np.int64, "its label map is no (H, W) int64"
    regions = np.arange(partition.count)
    yield np.array_equal(np.unique(labels), regions), "its regions are not numbered from 0 to R − 1"
    yield np.array_equal(partition.boxes, boxes_of(labels, len(regions))), "its boxes are others"
    maps = Stream(0, "check").uniform((3, *shape))
    sums = np.stack([[m[labels == region].sum(dtype=np.float64) for region in regions] for m in maps])
    near = np.allclose(partition.scores(maps), sums, rtol=1e-9)
    yield near, "its scores are not the sums over its regions"
    orders = heatmap_orders(partition, maps, "morf", ["a", "b", "c"], 0)
    once = np.array_equal(np.sort(orders, axis=1), np.tile(regions, (3, 1)))
    yield once, "an order does not hold each region once"
    last = partition.comes_last[orders].astype(int)
    yield (np.diff(last, axis=1) >= 0).all(), "some regions do not come last"


def _require(kind: str, checks: Iterator[_Check]) -> None:
    for holds, broken in checks:
        if not holds:
            raise InputError(f"the {kind} breaks its contract: {broken}")
