"""What an explainer is."""

from typing import Protocol

from torch import Tensor, nn


class Explainer(Protocol):
    """``explain(model, images, targets) -> heatmaps``.

    Images (N, C, H, W) as the model takes them, targets (N,) int64, heatmaps (N, H, W). It never changes the model,
    and works on the device and in the dtype of the images.
    """

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor: ...
