"""A network computed in float64."""

import torch
from torch import Tensor, nn


def in_double(model: nn.Module) -> nn.Module:
    """The model with float64 parameters and buffers, as a function of float64 images; the model itself stays as it is.

    What it holds otherwise, such as a tensor in an attribute, keeps its dtype, so the pass may fail.
    """

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            named = (*model.named_parameters(), *model.named_buffers())
            state = {name: t.double() for name, t in named if t.is_floating_point()}
            return torch.func.functional_call(model, state, (x,))

    return Double()
