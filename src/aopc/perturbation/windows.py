"""Which places of a layer's output a region of the image can change, along one axis.

A change travels through a sliding layer (convolution, pooling) as through the layer's receptive field
read backwards. Rows and columns are independent of each other, so one axis is enough.
"""

from dataclasses import dataclass

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
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    length: int

    @classmethod
    def of_regions(cls, length: int, size: int) -> "Spans":
        """The regions themselves: every ``size`` pixels, the last one cut off by the border."""
        low = np.arange(0, length, size, dtype=np.int64)
        return cls(low, np.minimum(low + size, length), length)

    @property
    def size(self) -> int:
        """The longest span: windows have this one size, so that they fit into one batch."""
        return max(1, int((self.high - self.low).max()))

    @property
    def starts(self) -> NDArray[np.int64]:
        """(G,): where a window of :attr:`size` places begins that holds the span and fits the axis."""
        return np.clip(self.low, 0, self.length - self.size)

    def through(self, slide: Slide, length: int) -> "Spans":
        """The spans at the output of a sliding layer whose output has ``length`` places."""
        first = -(-(self.low + slide.padding - (slide.extent - 1)) // slide.stride)
        last = (self.high - 1 + slide.padding) // slide.stride
        low = np.clip(first, 0, length)
        high = np.clip(last + 1, low, length)
        unchanged = self.high <= self.low
        return Spans(low, np.where(unchanged, low, high), length)

    def union(self, other: "Spans") -> "Spans":
        """The spans that hold both."""
        mine, theirs = self.high > self.low, other.high > other.low
        low = np.where(
            mine & theirs, np.minimum(self.low, other.low), np.where(mine, self.low, other.low)
        )
        high = np.where(
            mine & theirs, np.maximum(self.high, other.high), np.where(mine, self.high, other.high)
        )
        return Spans(low, high, self.length)

    def same_window(self, other: "Spans") -> bool:
        """Whether windows of both are at the same places."""
        return self.size == other.size and bool((self.starts == other.starts).all())
