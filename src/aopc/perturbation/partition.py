"""The regions of an image: a label map, of which the paper's grid is one."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aopc.base.arguments import as_array, as_integer
from aopc.base.errors import InputError, reason_of
from aopc.base.text import shown


class Partition(Protocol):
    """What is asked of a division of an image into regions.

    Attributes
    ----------
    height, width
        Of the image, in pixels.
    count
        Number of regions R.
    region_of_pixel
        (H, W) int64: the region of each pixel, 0 … R − 1; every region has a pixel.
    boxes
        (R, 4) int64: of each region the first row and column, and those behind its last.
    comes_last
        (R,) bool: which regions follow all others in every order, whatever the method.
    """

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def region_of_pixel(self) -> NDArray[np.int64]: ...
    @property
    def boxes(self) -> NDArray[np.int64]: ...
    @property
    def comes_last(self) -> NDArray[np.bool_]: ...

    def scores(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, H, W) → (N, R): the sum of the heatmap over each region, in float64."""
        ...

    def check_steps(self, steps: int) -> None:
        """Raise InputError unless 1 ≤ ``steps`` ≤ R."""
        ...


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Any division of an image into regions, such as superpixels or the parts of a mask.

    Parameters
    ----------
    region_of_pixel
        (H, W) of integers: the region of each pixel, numbered from 0 without a gap.

    Raises
    ------
    InputError
        If it is no such map.

    Examples
    --------
    >>> halves = LabelMap(np.array([[0, 0, 1], [0, 1, 1]]))
    >>> halves.count, halves.boxes.tolist()
    (2, [[0, 0, 2, 2], [0, 1, 2, 3]])
    """

    region_of_pixel: NDArray[np.int64]

    def __post_init__(self) -> None:
        labels = as_array("a label map", self.region_of_pixel)
        whole = labels.ndim == 2 and labels.size and np.issubdtype(labels.dtype, np.integer)
        # There are no more regions than pixels, and a larger label would take the memory of so many.
        possible = whole and labels.min() >= 0 and labels.max() < labels.size
        if not possible or not np.bincount(labels.astype(np.int64).ravel()).all():
            raise InputError(
                "a label map must be (H, W) of integers, the regions numbered from 0 without a gap; got"
                f" {labels.dtype} of shape {labels.shape}"
            )
        object.__setattr__(self, "region_of_pixel", labels.astype(np.int64))

    @property
    def height(self) -> int:
        return self.region_of_pixel.shape[0]

    @property
    def width(self) -> int:
        return self.region_of_pixel.shape[1]

    @cached_property
    def count(self) -> int:
        return int(self.region_of_pixel.max()) + 1

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        return boxes_of(self.region_of_pixel, self.count)

    @cached_property
    def comes_last(self) -> NDArray[np.bool_]:
        """None: regions of a label map differ in size anyway."""
        return np.zeros(self.count, dtype=bool)

    def scores(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float64]:
        labels, maps = self.region_of_pixel.ravel(), heatmaps.astype(np.float64)
        sums = [np.bincount(labels, weights=values.ravel(), minlength=self.count) for values in maps]
        return np.reshape(sums, (len(maps), self.count))

    def check_steps(self, steps: int) -> None:
        check_steps(steps, self.count, f"an image of {self.height} × {self.width}")


class OwnPartition:
    """What a partition of the user's own says, taken once and checked; its scores each time.

    Raises
    ------
    InputError
        If it lacks something, or does not agree with itself.
    """

    def __init__(self, given: Partition) -> None:
        self._given = given
        labels, last = self._said("region_of_pixel"), self._said("comes_last")
        self._map = LabelMap(np.array(as_array("the partition's region_of_pixel", labels), copy=True))
        self.comes_last = np.array(as_array("the partition's comes_last", last, "regions", kinds="b"), copy=True)
        said = tuple(as_integer(f"the partition's {name}", self._said(name)) for name in ("height", "width", "count"))
        self.height, self.width, self.count = self._map.height, self._map.width, self._map.count
        if said != (self.height, self.width, self.count) or len(self.comes_last) != self.count:
            raise InputError(
                f"the partition says {said[0]} × {said[1]} pixels and {said[2]} regions, but its region_of_pixel has"
                f" {self.height} × {self.width} and {self.count}, and its comes_last {len(self.comes_last)}"
            )
        self._said("scores"), self._said("check_steps")

    @property
    def region_of_pixel(self) -> NDArray[np.int64]:
        return self._map.region_of_pixel

    @property
    def boxes(self) -> NDArray[np.int64]:
        return self._map.boxes

    def scores(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float64]:
        given = self._asked("scores", heatmaps.copy())
        found = as_array("the partition's scores", given, "images, regions").astype(np.float64)
        if found.shape != (len(heatmaps), self.count) or not np.isfinite(found).all():
            raise InputError(
                f"the partition's scores must be finite, of shape {(len(heatmaps), self.count)}; got {found.shape}"
            )
        return found

    def check_steps(self, steps: int) -> None:
        self._map.check_steps(steps)
        self._asked("check_steps", steps)

    def _said(self, name: str) -> Any:
        try:
            return getattr(self._given, name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of the user's own code
            raise InputError(
                f"partition must be a Grid, a LabelMap or the like; {shown(self._given)} has no {name} ({reason_of(error)})"
            ) from error

    def _asked(self, name: str, *given: Any) -> Any:
        try:
            return self._said(name)(*given)
        except (KeyboardInterrupt, MemoryError, InputError):
            raise
        except BaseException as error:  # of the user's own code
            raise InputError(f"the partition's {name} failed: {type(error).__name__}: {reason_of(error)}") from error


def as_partition(given: Any) -> Partition:
    """A partition that is what it says: ours, or :class:`OwnPartition` of another; errors as there."""
    return given if type(given) in (Grid, LabelMap, OwnPartition) else OwnPartition(given)


def boxes_of(region_of_pixel: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(R, 4): the :attr:`Partition.boxes` of a label map."""
    boxes = np.empty((count, 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    firsts, ends = boxes.T[:2], boxes.T[2:]
    for first, end, places in zip(firsts, ends, np.indices(region_of_pixel.shape), strict=True):
        np.minimum.at(first, region_of_pixel, places)
        np.maximum.at(end, region_of_pixel, places + 1)
    return boxes


def check_steps(steps: int, regions: int, what: str) -> None:
    """Raise InputError unless 1 ≤ ``steps`` ≤ ``regions``; ``what`` has them."""
    if not 1 <= steps <= regions:
        raise InputError(
            f"the number of steps must be between 1 and the number of regions, {regions} ({what}); got {steps}"
        )


@dataclass(frozen=True)
class Grid:
    """Non-overlapping square regions, in rows from the upper left corner (Samek et al., III.B).

    Where ``size`` does not divide the image, the regions at the right and lower border are cut off by it. They
    come after all whole regions in every order, so that each of the first ``whole_count`` steps removes the same
    area whatever the method, and the last one still ends at an image without any original pixel.

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
        for name in ("height", "width", "size"):
            as_integer(name if name != "size" else "the region size", getattr(self, name), 1)
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
        rows, columns = (np.arange(length) // self.size for length in (self.height, self.width))
        return rows[:, None] * self.columns + columns

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        return boxes_of(self.region_of_pixel, self.count)

    @cached_property
    def comes_last(self) -> NDArray[np.bool_]:
        """(R,): whether the border cuts off the region."""
        return np.bincount(self.region_of_pixel.ravel(), minlength=self.count) < self.size**2

    def scores(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float64]:
        bottom, right = self.rows * self.size - self.height, self.columns * self.size - self.width
        padded = np.pad(heatmaps.astype(np.float64), ((0, 0), (0, bottom), (0, right)))
        blocks = padded.reshape(len(heatmaps), self.rows, self.size, self.columns, self.size)
        return blocks.sum(axis=4).sum(axis=2).reshape(len(heatmaps), self.count)

    def check_steps(self, steps: int) -> None:
        regions = f"{self.rows} × {self.columns} regions of {self.size} × {self.size} pixels"
        check_steps(steps, self.count, f"{regions} in an image of {self.height} × {self.width}")
