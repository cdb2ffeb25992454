"""What a runner computes: trajectories of images that lose one region a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.engine.replacements import Imputed
from aopc.models.inference import device_of

_T = TypeVar("_T")


@dataclass(frozen=True)
class Images:
    """A few images whose trajectories are computed together, on the model's device.

    Attributes
    ----------
    pixels
        (G, H, W, C), in the model's input space.
    noise
        (M, H, W, C): the replacement images of all of them, or what an imputer makes of them.
    ids
        G names.
    """

    pixels: Tensor
    noise: Tensor | Imputed
    ids: tuple[str, ...]

    @property
    def fills(self) -> Tensor:
        """The replacement images of a removal that needs no mask."""
        assert isinstance(self.noise, Tensor)
        return self.noise


@dataclass(frozen=True)
class Trajectories:
    """B trajectories of some :class:`Images`.

    Attributes
    ----------
    image, noise
        (B,) int64: which image, and which replacement image.
    target
        (B,) int64: the class whose score is recorded.
    order
        (B, R) int64: element j is the region that step j + 1 removes.
    """

    image: NDArray[np.int64]
    noise: NDArray[np.int64]
    target: NDArray[np.int64]
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, part: slice | list[int]) -> "Trajectories":
        return Trajectories(self.image[part], self.noise[part], self.target[part], self.order[part])


class Runner(Protocol):
    """Computes trajectories: so many in one call, of so many images, at the most."""

    trajectories_at_once: int
    images_at_once: int

    def unperturbed(self, images: Images) -> tuple[Tensor, Any]:
        """Class scores of the whole images (G, classes), and what :meth:`run` can share between all trajectories of
        these images.
        """

    def run(self, images: Images, shared: Any, trajectories: Trajectories, steps: int) -> Tensor:
        """(2, B, steps): the target's score and its softmax probability after 1, 2, … steps."""


def target_scores(scores: Tensor, targets: Tensor) -> Tensor:
    """(B, classes) class scores → (2, B): each target's score and its softmax probability."""
    scores = scores.float()
    chosen = scores.gather(1, targets[:, None])[:, 0]
    return torch.stack([chosen, (chosen - scores.logsumexp(dim=1)).exp()])


def region_ranks(order: Tensor) -> Tensor:
    """(B, R) orders → (B, R): the step at which a region is removed, less one."""
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


class Layout:
    """In which memory format a network gets its maps: the ``first``, until it fails on them, as one that flattens
    with ``view`` does on channels last.
    """

    def __init__(self, first: torch.memory_format = torch.channels_last) -> None:
        self._format = first

    def __call__(self, compute: Callable[[torch.memory_format], _T]) -> _T:
        """What ``compute`` gives for a format that the network can take."""
        try:
            return compute(self._format)
        except RuntimeError as error:
            if self._format == torch.contiguous_format or "view size is not compatible" not in str(error):
                raise
        self._format = torch.contiguous_format
        return compute(self._format)


def laid_out(maps: Tensor, layout: torch.memory_format) -> Tensor:
    """Maps (N, C, H, W) in a memory format; they themselves where they are in it."""
    # With one channel both formats are the same memory, but torch takes its strides for a wish.
    if layout == torch.contiguous_format and maps.shape[1] == 1:
        return maps.clone(memory_format=layout)
    return maps.contiguous(memory_format=layout)


def on_device(model: nn.Module, *indices: NDArray[np.int64]) -> list[Tensor]:
    """Indices where the model is."""
    device = device_of(model)
    tensors = [torch.from_numpy(np.ascontiguousarray(values)) for values in indices]
    if device.type == "cuda":
        return [values.pin_memory().to(device, non_blocking=True) for values in tensors]
    return [values.to(device) for values in tensors]
