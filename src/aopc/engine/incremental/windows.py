"""Which places of a layer's output a region of the image can change, along one axis.

A change travels through a sliding layer (convolution, pooling) as through the layer's receptive field read backwards.
Rows and columns are independent of each other, so one axis is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Slide:
    """A sliding window along one axis, as of convolution and pooling.

    Output o reads the inputs o · stride − padding + dilation · (0 … kernel − 1).
    """

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def extent(self) -> int:
        """Distance from the first to behind the last input that one output reads."""
        return self.dilation * (self.kernel - 1) + 1

    def reads(self, outputs: int) -> int:
        """How many inputs lie between the first and the last that so many outputs read."""
        return (outputs - 1) * self.stride + self.extent


@dataclass(frozen=True, eq=False)
class Spans:
    """For each of G regions along an axis, the places low … high − 1 that it can change.

    Attributes
    ----------
    low, high
        (G,) int64; equal where the region changes nothing.
    length
        Of the axis.
    members
        (G,): the regions that share one size of window, at least one; None: all.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    length: int
    members: NDArray[np.bool_] | None = None

    @classmethod
    def of_regions(cls, length: int, size: int, members: NDArray[np.bool_] | None = None) -> "Spans":
        """The regions themselves: every ``size`` pixels, the last one cut off by the border."""
        low = np.arange(0, length, size, dtype=np.int64)
        return cls(low, np.minimum(low + size, length), length, members)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(G,): how many places each region can change."""
        return self.high - self.low

    @property
    def size(self) -> int:
        """The members' longest span: windows have one size, so that they fit into one batch."""
        members = self.sizes if self.members is None else self.sizes[self.members]
        return max(1, int(members.max()))

    @property
    def starts(self) -> NDArray[np.int64]:
        """(G,): where a window of :attr:`size` places begins; a member's holds its span."""
        return np.clip(self.low, 0, self.length - self.size)

    def through(self, slide: Slide, length: int) -> "Spans":
        """The spans at the output of a sliding layer whose output has ``length`` places."""
        first = -(-(self.low + slide.padding - (slide.extent - 1)) // slide.stride)
        last = (self.high - 1 + slide.padding) // slide.stride
        low = np.clip(first, 0, length)
        high = np.where(self.high <= self.low, low, np.clip(last + 1, low, length))
        return Spans(low, high, length, self.members)

    def union(self, other: "Spans") -> "Spans":
        """The spans that hold both."""
        mine = self.high > self.low
        both = mine & (other.high > other.low)
        low = np.select([both, mine], [np.minimum(self.low, other.low), self.low], other.low)
        high = np.select([both, mine], [np.maximum(self.high, other.high), self.high], other.high)
        return Spans(low, high, self.length, self.members)

    def same_window(self, other: "Spans") -> bool:
        """Whether windows of both are at the same places."""
        return self.size == other.size and bool((self.starts == other.starts).all())


def size_classes(weights: Sequence[float], spans: Sequence[Spans], count: int) -> list[NDArray[np.bool_]]:
    """Divide the regions along an axis into classes whose windows are of nearly one size.

    A window is as large as the largest of its class. The classes minimise Σ_l w_l ⟨size_l²⟩, the mean over regions of
    the class's size at layer l, squared for the two axes.

    Parameters
    ----------
    weights, spans
        Of each layer: what a place of its map costs, and the spans of all regions there.
    count
        How many classes at the most.

    Returns
    -------
    (G,) members of each class.
    """
    weight, regions = np.asarray(weights), len(spans[0].low)
    cost = np.array([weight @ [s.sizes[g] ** 2.0 for s in spans] for g in range(regions)])
    order = np.argsort(cost, kind="stable")
    sizes = np.stack([s.sizes[order] for s in spans]).astype(np.float64)

    def total(cuts: tuple[int, ...]) -> float:
        bounds = pairwise((0, *cuts, regions))
        return sum((b - a) * float(weight @ sizes[:, a:b].max(axis=1) ** 2) for a, b in bounds)

    best = min(combinations(range(1, regions), min(count, regions) - 1), key=total)
    return [np.isin(np.arange(regions), order[start:stop]) for start, stop in pairwise((0, *best, regions))]
