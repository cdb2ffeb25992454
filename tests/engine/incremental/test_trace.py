"""What torch.fx cannot follow, or must not, is computed in full."""

import logging
import types
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

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


class Behaves(nn.Module):
    """A convolution, and what follows it."""

    def __init__(self, follows: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.follows, self.mask, self.calls = follows, functional.pad(torch.ones(1, 1, 12, 12), (6,) * 4), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.follows(self, self.conv(x)).mean((2, 3)))


def _in_place(net: nn.Module, y: torch.Tensor) -> torch.Tensor:
    y.mul_(net.mask)
    return y


def _through_a_view(net: nn.Module, y: torch.Tensor) -> torch.Tensor:
    same = y.unsqueeze(1)
    y.relu_()
    return y + same.squeeze(1)


def _guarded(net: nn.Module, y: torch.Tensor) -> torch.Tensor:
    return y.flip(2) if isinstance(y, torch.Tensor) else y


def _counted(net: nn.Module, y: torch.Tensor) -> torch.Tensor:
    net.calls += 1
    return y


def _typed(net: nn.Module, y: torch.Tensor) -> torch.Tensor:
    return y if type(y).__name__ == "Proxy" else 2 * y


@pytest.mark.parametrize(
    ("follows", "said"),
    [
        (_in_place, "changes in place"),
        (_through_a_view, "changes in place"),
        (_guarded, "where its trace has"),
        (_typed, "where its trace has"),
        (_counted, "changes what it keeps"),
        (lambda net, y: y + 0 * torch.rand_like(y), "draws random numbers"),
        (lambda net, y: y.logits if hasattr(y, "logits") else y, "traced forward pass fails"),
    ],
)
def test_what_tracing_bakes_in_is_seen_and_computed_in_full(
    follows: Callable[[nn.Module, torch.Tensor], torch.Tensor], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    model, x = Behaves(follows).eval(), images(3, 24, 24)
    x[1:] *= 5
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x, batch_size=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert said in caplog.text


def test_a_layer_is_what_its_operators_are_not_what_it_is_called() -> None:
    """A patched convolution, an activation with another forward, a functional one: all as full passes have them."""

    def tiled(self: nn.Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(functional.pad(x, (1,) * 4, mode="circular"), weight, bias)

    torch.manual_seed(0)
    patched, centred, strided = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
    patched._conv_forward = types.MethodType(tiled, patched)
    centred.forward = lambda x: x - x.mean((2, 3), keepdim=True)
    strided.forward = lambda x: functional.conv2d(x, strided.weight, None, 2)
    head = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(3)
    for layer in (patched, nn.Sequential(nn.Conv2d(3, 4, 3), centred), nn.Sequential(nn.Conv2d(3, 4, 3), strided)):
        model, x = nn.Sequential(layer, nn.ReLU(), nn.Conv2d(4, 4, 3), *head).eval(), images(3, 24, 24)
        with torch.no_grad():
            model(x)
        found, expected = both(model, x, region_size=2)
        np.testing.assert_allclose(found, expected, atol=1e-6)
