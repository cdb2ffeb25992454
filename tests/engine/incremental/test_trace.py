"""What torch.fx cannot follow, or must not, is computed in full."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from both_ways import both
from conftest import images, small_network

pytestmark = pytest.mark.usefixtures("always")


class Loops(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.conv(row[None]).mean((2, 3)) for row in x]))


def test_untraceable_networks_are_computed_in_full_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    model, x = Loops().eval(), images(2, 16, 16)
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
        both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (record,) = caplog.records
    assert "cannot be traced" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_hooks_of_the_user_run_on_whole_maps() -> None:
    torch.manual_seed(0)
    model, x = small_network(), images(2, 13, 13)
    model[1].register_forward_hook(lambda module, inputs, output: output - output.mean((2, 3), keepdim=True))
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    model.register_forward_hook(lambda module, inputs, output: 2 * output)
    again, expected = both(model, x)
    np.testing.assert_allclose(again, expected, atol=1e-5)
    np.testing.assert_allclose(again, 2 * found, rtol=1e-4, atol=1e-5)


class Aliased(nn.Module):
    """Adds a map that an activation has changed in place meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.conv, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.conv(self.relu(x))
        return self.head((x + y).mean((2, 3)))


def test_maps_changed_in_place_behind_the_back_of_others_are_not_windowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    model, x = Aliased().eval(), images(2, 24, 24)
    model.head.bias.data[2] += 15  # hides the error from a check against the largest score
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "changes in place" in caplog.text
