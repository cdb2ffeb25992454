"""Full passes."""

import numpy as np
import torch
from torch import nn

import aopc
from conftest import images


def test_models_that_flatten_with_view_are_taken() -> None:
    class Flattens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(x).view(len(x), -1))

    model, x = Flattens(), images(2, 8, 8)
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=4, steps=3, repeats=2)
    with torch.no_grad():
        np.testing.assert_allclose(curves.logits[:, 0, 0], model(x).amax(1), atol=1e-5)
