"""What the gradient does not see is refused, whoever hides it, and hooks on gradients do not act on heatmaps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import aopc
from conftest import images
from written import NAMES, Written, maps, plain


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def shared_memory(m: Written, x: Tensor) -> Tensor:
    kept = torch.zeros(x.shape, dtype=x.dtype)
    alias = kept.detach()
    with torch.no_grad():
        kept.copy_(x)
    return plain(m, x * alias)


HIDDEN: dict[str, Callable[[Written, Tensor], Tensor]] = {
    "script": lambda m, x: plain(m, x * scripted(x.detach())),
    "dlpack": lambda m, x: plain(m, x * torch.from_dlpack(x.detach()).clone().sigmoid()),
    "vmap": lambda m, x: plain(m, x * torch.vmap(torch.sigmoid)(x.detach())),
    "shared memory": shared_memory,
    "detached": lambda m, x: plain(m, x * x.detach().sigmoid()),
}


@pytest.mark.parametrize("name", ["sensitivity-l2", *NAMES])
@pytest.mark.parametrize("case", HIDDEN)
def test_what_the_gradient_does_not_see_is_refused(case: str, name: str) -> None:
    with pytest.raises(aopc.InputError, match=r"not the derivative|cannot follow|no gradient follows"):
        maps(HIDDEN[case], name)


@pytest.mark.parametrize("name", ["sensitivity-l2", *NAMES])
def test_hooks_on_gradients_do_not_act_on_signals_and_stay(name: str) -> None:
    model = Written(plain).eval()
    expected = aopc.heatmaps(model, images(2, 6, 6), name, [0, 1])
    model.b.register_full_backward_hook(lambda _, given, __: (2 * given[0],))
    model.relu.register_full_backward_pre_hook(lambda _, given: (given[0].clamp(min=0),))
    np.testing.assert_array_equal(aopc.heatmaps(model, images(2, 6, 6), name, [0, 1]), expected)
    assert len(model.b._backward_hooks) == len(model.relu._backward_pre_hooks) == 1


def test_what_fails_with_gradients_alone_is_refused_in_one_line() -> None:
    with pytest.raises(aopc.InputError, match="does not run with gradients") as refused:
        maps(lambda m, x: plain(m, torch.from_numpy(x.numpy() * 2)), "sensitivity-l2")
    assert "\n" not in str(refused.value)
