"""One small network, in whatever way its forward pass is written."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import aopc
from conftest import images

NAMES = ("deconvolution-l2", "lrp-epsilon-0.01", "lrp-alpha2-beta1")


class Written(nn.Module):
    """Two convolutions and a linear layer, with what a function makes of them as the forward pass."""

    def __init__(self, forward: Callable[["Written", Tensor], Tensor], **settings: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.head = nn.ReLU(), nn.Linear(4 * 6 * 6, 3)
        self.norm, self.gate = nn.BatchNorm2d(4), nn.Linear(4, 4)
        for tensor in (self.norm.running_mean, self.norm.bias.data):
            nn.init.uniform_(tensor, -1, 1)
        for tensor in (self.norm.running_var, self.norm.weight.data):
            nn.init.uniform_(tensor, 0.5, 2)
        self._forward, self.settings = forward, settings

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def plain(m: Written, x: Tensor) -> Tensor:
    return m.head(m.relu(m.b(m.relu(m.a(x)))).flatten(1))


def maps(
    forward: Callable[[Written, Tensor], Tensor], name: str, change: Callable[[Written], object] = id
) -> np.ndarray:
    model = Written(forward).eval()
    made = change(model)
    model = made if isinstance(made, nn.Module) else model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    try:
        return aopc.heatmaps(model, images(2, 6, 6), name, [0, 1])
    finally:
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
