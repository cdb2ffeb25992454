"""What a runner computes: trajectories of images that lose one region a step."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.engine.replacements import Imputed
from aopc.models.inference import device_of, logits_of
from aopc.perturbation.partition import Partition


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

    @property
    def arrays(self) -> tuple[NDArray[np.int64], ...]:
        """The attributes in their order."""
        return self.image, self.noise, self.target, self.order

    def __getitem__(self, part: slice | list[int]) -> "Trajectories":
        return Trajectories(*(values[part] for values in self.arrays))


class Runner(Protocol):
    """Computes trajectories.

    Attributes
    ----------
    trajectories_at_once
        How many it takes in one call at the most.
    images_at_once
        Of how many images.
    """

    trajectories_at_once: int
    images_at_once: int

    def unperturbed(self, images: Images) -> tuple[Tensor, Any]:
        """Class scores of the whole images (G, classes), and what :meth:`run` can share between all
        trajectories of these images.
        """

    def run(self, images: Images, shared: Any, trajectories: Trajectories, steps: int) -> Tensor:
        """(2, B, steps): the target's score and its softmax probability after 1, 2, … steps."""


def target_scores(scores: Tensor, targets: Tensor) -> Tensor:
    """(B, classes) class scores → (2, B): each target's score and its softmax probability."""
    scores = scores.float()
    chosen = scores.gather(1, targets[:, None])[:, 0]
    return torch.stack([chosen, (chosen - scores.logsumexp(dim=1)).exp()])


class PixelRegions:
    """The region of each pixel, (H, W), on the device."""

    def __init__(self, partition: Partition, device: torch.device) -> None:
        self.of_pixel = torch.from_numpy(partition.region_of_pixel).to(device)

    @staticmethod
    def ranks(order: Tensor) -> Tensor:
        """(B, R) orders → (B, R): the step at which a region is removed, less one."""
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
        return torch.empty_like(order).scatter_(1, order, places)

    def pixel_ranks(self, order: Tensor) -> Tensor:
        """(B, R) orders → (B, H, W): the step at which a pixel is removed, less one."""
        return self.ranks(order)[:, self.of_pixel]


class Layout:
    """Feeds batches with the channels last, which is faster, unless the model cannot take them.

    A model that flattens with ``view`` fails on them, and gets ordinary batches from then on.
    """

    def __init__(self) -> None:
        self._channels_last = True

    def scores(self, model: nn.Module, batch: Tensor) -> Tensor:
        """Class scores of a batch (B, C, H, W) whose memory has the channels last."""
        if self._channels_last:
            try:
                return logits_of(model, batch)
            except RuntimeError as error:
                if not is_layout_error(error):
                    raise
                self._channels_last = False
        return logits_of(model, batch.contiguous())


def is_layout_error(error: RuntimeError) -> bool:
    """Whether a model failed for having got its channels last."""
    return "view size is not compatible" in str(error)


def on_device(values: NDArray[np.int64], model: nn.Module) -> Tensor:
    """Indices where the model is."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    device = device_of(model)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
