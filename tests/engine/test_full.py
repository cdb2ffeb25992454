"""Full passes."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from conftest import images


@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_models_that_flatten_with_view_are_taken(shift: float, incremental: bool) -> None:
    """Also those that have changed their input in place when they fail on maps whose channels are last."""

    class Flattens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(x.sub_(shift)).view(len(x), -1))

    model, x = Flattens(), images(2, 8, 8)
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=4, steps=3, repeats=2, incremental=incremental)
    with torch.no_grad():
        np.testing.assert_allclose(curves.logits[:, 0, 0], model(x.clone()).amax(1), atol=1e-5)
