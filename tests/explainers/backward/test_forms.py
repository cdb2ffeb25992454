"""Whichever way a network is written or wrapped, its heatmaps are those of the same network made of torch's layers in a row."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

import aopc
from conftest import images
from written import NAMES, Written, maps, plain

EQUAL: dict[str, Callable[[Written, Tensor], Tensor]] = {
    "functions": lambda m, x: F.linear(
        F.conv2d(F.conv2d(x, m.a.weight, m.a.bias, padding=1).relu_(), m.b.weight, m.b.bias, padding=1).relu().flatten(1),
        m.head.weight, m.head.bias,
    ),
    "input in place": lambda m, x: plain(m, x.mul_(2).div_(2)),
    "normalised inside": lambda m, x: plain(m, ((x * 2 + 1) - 1) / 2),
    "sum of one": lambda m, x: plain(m, sum([x])),
    "sliced and joined": lambda m, x: plain(m, torch.cat([x[:, :1], x[:, 1:]], 1).permute(0, 2, 3, 1).permute(0, 3, 1, 2)),
    "branch on data": lambda m, x: plain(m, x) if x.mean() > -100 else x.flatten(1)[:, :3],
    "checkpoint": lambda m, x: torch.utils.checkpoint.checkpoint(lambda y: plain(m, y), x, use_reentrant=False),
    "own padding": lambda m, x: m.head(
        F.conv2d(F.pad(F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1)), m.a.weight, m.a.bias)), (1, 1, 1, 1)), m.b.weight, m.b.bias)
        .relu().flatten(1)
    ),
    "parameters elsewhere": lambda m, x: torch.func.functional_call(
        m.head, {k: v.clone() for k, v in m.head.named_parameters()}, (m.relu(m.b(m.relu(m.a(x)))).flatten(1),)
    ),
    "shares": lambda m, x: plain(m, x.repeat(1, 1, 1, 1).expand(-1, -1, -1, -1).contiguous()),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", EQUAL)
def test_the_same_network_written_otherwise_has_the_same_heatmaps(case: str, name: str) -> None:
    expected = maps(plain, name)
    np.testing.assert_allclose(maps(EQUAL[case], name), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_in_place_of_a_view(name: str) -> None:
    """Behind a flattening, as many write it; and what it would have changed must not be read afterwards."""
    expected = maps(lambda m, x: m.head(m.relu(m.a(x).flatten(1))), name)
    found = maps(lambda m, x: m.head(F.relu(m.a(x).flatten(1), inplace=True)), name)
    np.testing.assert_array_equal(found, expected)

    def read_later(m: Written, x: Tensor) -> Tensor:
        y = m.a(x)
        z = F.relu(y.flatten(1), inplace=True)
        return m.head(m.b(y).flatten(1) + z)

    with pytest.raises(aopc.InputError, match=r"'conv2d' in the layer 'b' of type Conv2d .* through a view"):
        maps(read_later, name)


def frozen(m: Written) -> None:
    m.requires_grad_(False)


def weight_norm(m: Written) -> None:
    for layer in (m.a, m.b, m.head):
        nn.utils.weight_norm(layer)


def weight_norm_of_today(m: Written) -> None:
    for layer in (m.a, m.b, m.head):
        nn.utils.parametrizations.weight_norm(layer)


def pruned(m: Written) -> None:
    prune.identity(m.a, "weight")
    prune.identity(m.b, "bias")


def compiled(m: Written) -> nn.Module:
    return torch.compile(m, backend="eager")


def compiled_inside(m: Written) -> None:
    m.a.compile(backend="eager")
    m.relu = torch.compile(m.relu, backend="eager")  # type: ignore[assignment]


def parallel(m: Written) -> nn.Module:
    return nn.DataParallel(m, device_ids=[])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change", [frozen, weight_norm, weight_norm_of_today, pruned, compiled, compiled_inside, parallel]
)
def test_the_same_network_in_a_wrapper_has_the_same_heatmaps(change: Callable[[Written], object], name: str) -> None:
    expected = maps(plain, name)
    model = Written(plain).eval()
    made = change(model)
    model = made if isinstance(made, nn.Module) else model
    found = aopc.heatmaps(model, images(2, 6, 6), name, [0, 1])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert [p.requires_grad for p in model.parameters()] == [change is not frozen] * len(list(model.parameters()))


def spectral_norm(m: Written) -> None:
    nn.utils.spectral_norm(m.a)
    nn.utils.parametrizations.spectral_norm(m.b)
    prune.l1_unstructured(m.head, "weight", 0.5)


class Standardised(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True).detach()
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


def standardised(m: Written) -> None:
    m.a.__class__ = m.b.__class__ = Standardised


def effective(layer: nn.Module) -> Tensor:
    weight = layer.weight.detach().clone()
    return weight - weight.mean((1, 2, 3), keepdim=True) if isinstance(layer, Standardised) else weight


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", [spectral_norm, standardised])
def test_weights_that_the_forward_pass_computes_are_those_that_count(
    change: Callable[[Written], None], name: str
) -> None:
    model, same, x = Written(plain), Written(plain).eval(), images(2, 6, 6)
    change(model)
    model(x)
    model.eval()
    for layer in ("a", "b", "head"):
        getattr(same, layer).weight.data = effective(getattr(model, layer))
    expected = aopc.heatmaps(same, x, name, [0, 1])
    np.testing.assert_allclose(aopc.heatmaps(model, x, name, [0, 1]), expected, atol=1e-5 * np.abs(expected).max())
