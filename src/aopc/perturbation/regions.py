"""The grid of regions, and the order in which they are removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aopc.errors import InputError
from aopc.streams import Stream

Order = Literal["morf", "lerf", "random"]
ORDERS: tuple[Order, ...] = ("morf", "lerf", "random")


@dataclass(frozen=True)
class Grid:
    """Non-overlapping square regions, in rows from the upper left corner (Samek et al., III.B).

    Where ``size`` does not divide the image, the regions at the right and lower border are cut off
    by it. They come after all whole regions in every order, so that each of the first
    ``whole_count`` steps removes the same area whatever the method, and the last one still ends at
    an image without any original pixel.

    Parameters
    ----------
    height, width
        Of the image, in pixels.
    size
        Side of a region, in pixels.

    Examples
    --------
    >>> grid = Grid(227, 227, 9)
    >>> grid.count, grid.whole_count
    (676, 625)
    """

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"the region size must be at least 1 pixel; got {self.size}")
        if self.size > min(self.height, self.width):
            raise InputError(
                f"regions of {self.size} × {self.size} pixels are larger than the image of"
                f" {self.height} × {self.width}: choose a smaller region size"
            )

    @property
    def rows(self) -> int:
        return -(-self.height // self.size)

    @property
    def columns(self) -> int:
        return -(-self.width // self.size)

    @property
    def count(self) -> int:
        """Number of regions R, cut-off ones included."""
        return self.rows * self.columns

    @property
    def whole_count(self) -> int:
        """Number of regions that the border does not cut off."""
        return (self.height // self.size) * (self.width // self.size)

    @cached_property
    def region_of_pixel(self) -> NDArray[np.int64]:
        """(H, W): the region of each pixel, 0 … R − 1, row by row."""
        rows = np.arange(self.height) // self.size
        columns = np.arange(self.width) // self.size
        return rows[:, None] * self.columns + columns[None, :]

    @cached_property
    def is_cut_off(self) -> NDArray[np.bool_]:
        """(R,): whether the border cuts off the region."""
        pixels = np.bincount(self.region_of_pixel.ravel(), minlength=self.count)
        return pixels < self.size**2

    def scores(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, H, W) → (N, R): the sum of the heatmap over each region, in float64."""
        bottom = self.rows * self.size - self.height
        right = self.columns * self.size - self.width
        padded = np.pad(heatmaps.astype(np.float64), ((0, 0), (0, bottom), (0, right)))
        blocks = padded.reshape(len(heatmaps), self.rows, self.size, self.columns, self.size)
        return blocks.sum(axis=4).sum(axis=2).reshape(len(heatmaps), self.count)

    def check_steps(self, steps: int) -> None:
        """Raise InputError unless 1 ≤ ``steps`` ≤ R."""
        if not 1 <= steps <= self.count:
            raise InputError(
                f"the number of steps must be between 1 and the number of regions, {self.count}"
                f" ({self.rows} × {self.columns} regions of {self.size} × {self.size} pixels in an"
                f" image of {self.height} × {self.width}); got {steps}"
            )


def heatmap_orders(
    grid: Grid,
    heatmaps: NDArray[np.floating],
    order: Order,
    image_ids: Sequence[str],
    seed: int,
) -> NDArray[np.int64]:
    """The regions by decreasing (MoRF) or increasing (LeRF) heatmap value.

    Regions with equal values follow in a random order that belongs to the seed and the image, so
    it is the same for all explainers. A heatmap that is zero everywhere is thus a random order.

    Returns
    -------
    (N, R) int64: element j is the region that step j + 1 removes.
    """
    scores = grid.scores(heatmaps)
    values = -scores if order == "morf" else scores
    ties = np.stack([Stream(seed, "ties", name).permutation(grid.count) for name in image_ids])
    keys = (ties, values, np.broadcast_to(grid.is_cut_off, values.shape))
    return np.lexsort(keys, axis=1)


def random_orders(grid: Grid, image_ids: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """``count`` random orders for each image, (N, count, R) int64."""
    return np.stack(
        [
            [_random_order(grid, Stream(seed, "random order", name, i)) for i in range(count)]
            for name in image_ids
        ]
    )


def trajectories_at_random(count: int, repeats: int) -> int:
    """How many random orders an image has if ``count`` are wanted: a multiple of the repeats where there
    are more of them, so that each noise counts alike, as it does for a heatmap.
    """
    return count if count < repeats else -(-count // repeats) * repeats


def _random_order(grid: Grid, stream: Stream) -> NDArray[np.int64]:
    order = stream.permutation(grid.count)
    return order[np.argsort(grid.is_cut_off[order], kind="stable")]


def ranks_of(orders: NDArray[np.int64]) -> NDArray[np.int32]:
    """The place of each region in the order, same shape: step k has removed all with rank < k."""
    ranks = np.empty(orders.shape, dtype=np.int32)
    places = np.broadcast_to(np.arange(orders.shape[-1], dtype=np.int32), orders.shape)
    np.put_along_axis(ranks, orders, places, axis=-1)
    return ranks
