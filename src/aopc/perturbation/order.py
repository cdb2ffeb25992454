"""In which order the regions of an image are removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array, require_same_length
from aopc.base.errors import InputError
from aopc.base.machine import require_memory
from aopc.base.random import Stream
from aopc.perturbation.partition import Partition, as_partition

Order = Literal["morf", "lerf", "random"]
ORDERS: tuple[Order, ...] = get_args(Order)

#: The baseline among the explainers: its curves use random orders, not a heatmap.
RANDOM = "random"
#: Sums of smaller numbers over all pixels are finite in float64.
_SUMMED = 2.0**960


@dataclass(frozen=True)
class Ranking:
    """In which orders the regions of each image are removed.

    Attributes
    ----------
    orders
        (N, K, R) int64: K orders an image.
    usable
        (N,): which images have any; the curves of the others are NaN.
    """

    orders: NDArray[np.int64]
    usable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        orders = as_array("orders", self.orders, "images, orders, regions", kinds="iu")
        if orders.min() < 0 or orders.max() >= orders.shape[2]:
            raise InputError(
                f"orders must be of the regions 0 to {orders.shape[2] - 1}; got {orders.min()} to {orders.max()}"
            )
        require_same_length(orders=orders, usable=as_array("usable", self.usable, "images", kinds="b"))

    @classmethod
    def of_heatmaps(
        cls, partition: Partition, heatmaps: Any, order: Order, image_ids: Sequence[str], seed: int
    ) -> "Ranking":
        """One order an image, by its heatmap: an array or a tensor (N, H, W) of any library, on any device. One
        that is not finite is not usable. InputError if the shape is another.
        """
        if hasattr(heatmaps, "detach"):
            # numpy has no bfloat16; what is wider than float32 must not be made narrower.
            heatmaps = heatmaps.detach().float() if heatmaps.element_size() < 4 else heatmaps
        maps = as_array("heatmaps", heatmaps)
        expected = (len(image_ids), partition.height, partition.width)
        if maps.shape != expected:
            raise InputError(f"heatmaps must have shape {expected}, one value a pixel; got {maps.shape}")
        orders = heatmap_orders(as_partition(partition), np.nan_to_num(maps), order, image_ids, seed)[:, None]
        return cls(orders, np.isfinite(maps).all(axis=(1, 2)))

    @classmethod
    def at_random(
        cls, partition: Partition, image_ids: Sequence[str], count: int, repeats: int, seed: int
    ) -> "Ranking":
        """``count`` random orders an image, rounded up to a multiple of the repeats."""
        orders = random_orders(partition, image_ids, trajectories_at_random(count, repeats), seed)
        return cls(orders, np.ones(len(image_ids), dtype=bool))


def heatmap_orders(
    partition: Partition, heatmaps: NDArray[np.floating], order: Order, image_ids: Sequence[str], seed: int
) -> NDArray[np.int64]:
    """The regions by decreasing (MoRF) or increasing (LeRF) heatmap value.

    Regions with equal values follow in a random order that belongs to the seed and the image, so it is the same
    for all explainers. A heatmap that is zero everywhere is thus a random order.

    Returns
    -------
    (N, R) int64: element j is the region that step j + 1 removes.
    """
    # Sums of the largest numbers would be infinite, and so all equal; a power of two changes no order.
    largest = np.abs(heatmaps).max(axis=(1, 2), keepdims=True, initial=0).astype(np.float64)
    if (largest > _SUMMED).any():
        heatmaps = np.where(largest > _SUMMED, heatmaps * 2.0**-64, heatmaps)
    scores = partition.scores(heatmaps)
    values = -scores if order == "morf" else scores
    ties = np.stack([Stream(seed, "ties", name).permutation(partition.count) for name in image_ids])
    return np.lexsort((ties, values, np.broadcast_to(partition.comes_last, values.shape)), axis=1)


def random_orders(partition: Partition, image_ids: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """``count`` random orders for each image, (N, count, R) int64."""
    # As arrays one by one, then joined.
    needed = len(image_ids) * count * (16 * partition.count + 128)
    require_memory(needed, f"{count} random orders of {partition.count} regions for {len(image_ids)} images")

    def drawn(stream: Stream) -> NDArray[np.int64]:
        order = stream.permutation(partition.count)
        return order[np.argsort(partition.comes_last[order], kind="stable")]

    return np.stack([[drawn(Stream(seed, "random order", name, i)) for i in range(count)] for name in image_ids])


def trajectories_at_random(count: int, repeats: int) -> int:
    """How many random orders an image has if ``count`` are wanted: a multiple of the repeats where there are more
    of them, so that each noise counts alike, as it does for a heatmap.
    """
    return count if count < repeats else -(-count // repeats) * repeats


def ranks_of(orders: NDArray[np.int64]) -> NDArray[np.int32]:
    """The place of each region in the order, same shape: step k has removed all with rank < k."""
    ranks = np.empty(orders.shape, dtype=np.int32)
    places = np.broadcast_to(np.arange(orders.shape[-1], dtype=np.int32), orders.shape)
    np.put_along_axis(ranks, orders, places, axis=-1)
    return ranks
