"""Sensitivity against the Jacobian."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from conftest import images


@pytest.mark.parametrize(("name", "norm"), [("sensitivity-l2", 2), ("sensitivity-linf", np.inf)])
def test_sensitivity_is_the_norm_of_the_float64_gradient(network: nn.Sequential, name: str, norm: float) -> None:
    x, target = images(2, 13, 13), torch.tensor([1, 2])
    double = copy.deepcopy(network).double()
    jacobian = torch.autograd.functional.jacobian(lambda z: double(z), x.double())
    gradients = np.stack([jacobian[i, target[i], i].numpy() for i in range(2)])
    expected = np.linalg.norm(gradients, norm, axis=1)
    np.testing.assert_allclose(aopc.heatmaps(network, x, name, target), expected, atol=1e-5)
