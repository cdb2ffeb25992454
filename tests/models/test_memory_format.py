"""Channels last where a network gives the same for it; torch's faulty convolutions are passed by, or said."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import aopc
from aopc.base.errors import ResultWarning
from aopc.models import memory_format
from aopc.models.inference import memory_format_for
from conftest import images, small_network


class Net(nn.Module):
    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.between = between
        self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.first(x)).mean((2, 3)))


LOOKS: dict[str, Callable[[Tensor], Tensor]] = {
    "strides": lambda x: 2 * x if x.stride(1) == 1 else x,
    "format": lambda x: 2 * x if x.is_contiguous() else x,
    "memory": lambda x: x.as_strided(x.shape, (4 * 81, 81, 9, 1)).roll(1, 3).relu(),
    "view": lambda x: x.view(len(x), -1).view_as(x),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_networks_that_look_at_memory_get_it_as_torch_gives_it(kind: str) -> None:
    model, x = Net(LOOKS[kind]).eval(), images(2, 9, 9)
    assert memory_format_for(model, x[:1]) == torch.contiguous_format
    with torch.no_grad():
        expected = model(x)[:, 1].numpy()
    curves = aopc.perturbation_curves(model, x, x.sum(1), [1, 1], region_size=3, steps=3, repeats=1)
    np.testing.assert_allclose(curves.logits[:, 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_others_get_channels_last() -> None:
    assert memory_format_for(small_network(), images(1, 13, 13)) == torch.channels_last


class Faulty:
    """A convolution that leaves its last column as it finds it, in some formats."""

    def __init__(self, everywhere: bool) -> None:
        self.right, self.everywhere = functional.conv2d, everywhere

    def __call__(self, x: Tensor, *given: object) -> Tensor:
        found = self.right(x, *given)
        if torch.backends.mkldnn.enabled and (self.everywhere or not x.is_contiguous()):
            found = found.clone()
            found[..., -1] = 3
        return found


def _patched(monkeypatch: pytest.MonkeyPatch, everywhere: bool) -> None:
    """As torch's own operator would be wrong: below Python, in the pass and not in what it is compared with."""
    wrong = Faulty(everywhere)
    dispatched = memory_format._Convolutions.__torch_dispatch__

    def dispatch(self: object, func: object, types: object, args: tuple, kwargs: object = None) -> object:
        if func is not torch.ops.aten.convolution.default:
            return dispatched(self, func, types, args, kwargs)
        x, weight, bias, stride, padding, dilation, _, _, groups = args
        found = wrong(x, weight, bias, stride, padding, dilation, groups)
        self._compare(found, *args)
        return found

    monkeypatch.setattr(memory_format._Convolutions, "__torch_dispatch__", dispatch)


def test_a_format_in_which_a_convolution_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    _patched(monkeypatch, everywhere=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert memory_format_for(Net(torch.relu).eval(), images(1, 9, 9)) == torch.contiguous_format


def test_a_convolution_that_is_wrong_in_all_formats_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _patched(monkeypatch, everywhere=True)
    model = Net(torch.relu).eval()
    for _ in range(2):  # found out once, said each time
        with pytest.warns(ResultWarning, match="torch computes a convolution of this network wrongly") as caught:
            memory_format_for(model, images(1, 9, 9))
        assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [(1, 7), (1, 3)])
def test_a_stride_that_leaves_one_column_in_bfloat16(groups: int, stride: tuple[int, int]) -> None:
    """Torch 2.15 on CPUs with bfloat16: other memory than that of the result, for one input channel a group in channels last."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(groups, 4 * groups, (3, 5), stride, (1, 1), groups=groups), nn.Flatten(), nn.LazyLinear(3)]
    model, x = nn.Sequential(*layers).eval(), torch.randn(3, groups, 16, 3)
    model(x)
    model, x = model.bfloat16(), x.bfloat16()
    with torch.no_grad():
        expected = torch.cat([model(image[None]) for image in x])[:, 0].float().numpy()
    curves = aopc.perturbation_curves(
        model, x, x.float().sum(1), [0] * 3, region_size=1, steps=3, repeats=1, value_range=(-1, 1)
    )
    np.testing.assert_allclose(curves.logits[:, 0, 0], expected, atol=0.02)
