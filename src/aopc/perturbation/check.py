"""The contract tests of a removal and of a partition, for the user's own as for ours.

>>> check_removal("uniform")
>>> from aopc.perturbation.partition import Grid
>>> check_partition(Grid(13, 10, 4))
"""

import numpy as np

from aopc.base.errors import InputError
from aopc.base.random import Stream
from aopc.perturbation.order import heatmap_orders
from aopc.perturbation.partition import Partition, boxes_of
from aopc.perturbation.removal import Imputer, Removal, removal_named
from aopc.perturbation.value_range import Image, ValueRange


def check_removal(removal: str | Removal) -> None:
    """Whether a removal keeps the contract (:mod:`aopc.perturbation.removal.contract`).

    It gives a float32 image of the same shape, finite, the same for the same stream, and leaves what it is
    given as it was; an imputer leaves the pixels that are not removed.

    Raises
    ------
    InputError
        That says which part of the contract is broken.
    """
    remove, values = removal_named(removal), ValueRange((-1.0, 0.0, 2.0), (1.0, 3.0, 5.0))
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
    _require("removal", found.shape == image.shape, f"it returns the shape {found.shape}")
    _require("removal", found.dtype == np.float32, f"it returns {found.dtype}, not float32")
    _require("removal", bool(np.isfinite(found).all()), "it returns NaN or infinite values")
    _require("removal", np.array_equal(given, image), "it changes the image that it is given")
    _require("removal", np.array_equal(replaced(), found), "the same stream gives another image")
    if isinstance(remove, Imputer):
        kept = np.array_equal(found[:, ~removed], image[:, ~removed])
        _require("removal", kept, "it changes pixels that are not removed")


def check_partition(partition: Partition) -> None:
    """Whether a partition keeps the contract (:class:`aopc.perturbation.partition.Partition`).

    Every pixel belongs to one region and every region has a pixel, boxes and scores are those of its label
    map, and orders hold each region once, those that come last at the end.

    Raises
    ------
    InputError
        That says which part of the contract is broken.
    """
    labels, count = partition.region_of_pixel, partition.count
    shape = (partition.height, partition.width)
    _require(
        "partition",
        labels.shape == shape and labels.dtype == np.int64,
        "its label map is no (H, W) int64",
    )
    whole = np.array_equal(np.unique(labels), np.arange(count))
    _require("partition", whole, "its regions are not numbered from 0 to R − 1")
    _require(
        "partition",
        np.array_equal(partition.boxes, boxes_of(labels, count)),
        "its boxes are others",
    )
    maps = Stream(0, "check").uniform((3, *shape))
    sums = np.stack([[m[labels == r].sum(dtype=np.float64) for r in range(count)] for m in maps])
    near = np.allclose(partition.scores(maps), sums, rtol=1e-9)
    _require("partition", near, "its scores are not the sums over its regions")
    orders = heatmap_orders(partition, maps, "morf", ["a", "b", "c"], 0)
    once = np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(count), (3, 1)))
    _require("partition", once, "an order does not hold each region once")
    last = partition.comes_last[orders]
    _require(
        "partition",
        bool((np.diff(last.astype(int), axis=1) >= 0).all()),
        "some regions do not come last",
    )
    partition.check_steps(count)


def _require(kind: str, holds: bool, what: str) -> None:
    if not holds:
        raise InputError(f"the {kind} breaks its contract: {what}")
