"""Whether the gradient that torch gives is the derivative of the scores by the image, tried out by differences.

A value that leaves the autograd graph and comes back (detach, numpy, memory that two tensors share, compiled code, a
thread, an ``autograd.Function`` with a backward pass of its own) is a constant to every backward explainer, and
nothing in the graph need show it. The scores show it: they change along some direction in another way than the
gradient says. It is tried beside the image, not on it, since a grey area is full of ties and corners of activations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as _all_modules
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aopc.base.errors import InputError
from aopc.base.machine import is_out_of_memory
from aopc.explainers.backward.double import in_double
from aopc.models.inference import logits_of
from aopc.models.structure import Findings, isolated

#: The step, as a share of the image's largest value: so few activations change from one linear piece to another.
_STEP = 1e-8
#: The allowed difference, as a share of the gradient's norm.
_ALLOWED = 1e-2
#: How far the tried point is from the image, in the same share.
_ASIDE = 1.0
#: Rounding errors of scores, in units of the last place of the largest.
_ROUNDING = 200.0
_SEED = 0

_checked: Findings[bool] = Findings()


def require_derivative(model: nn.Module, image: Tensor, *, once: bool) -> None:
    """InputError if a model's gradient is not the derivative of its scores near an image.

    It takes a pass forward and backward and two forward in float64, on a copy of the model. Nothing is said of a
    network that does not run in float64 alone, since differences of coarser numbers tell too little.

    Parameters
    ----------
    model, image
        In evaluation mode; (1, C, H, W), on its device.
    once
        One image speaks for all of its shape.
    """

    def tried() -> bool:
        with torch.inference_mode(False):
            _require(isolated(model), image.detach().clone())
        return True

    if not once:
        tried()
        return
    _checked(model, (tuple(image.shape), image.dtype, image.device), tried)


def _require(model: nn.Module, image: Tensor) -> None:
    try:
        with without_backward_hooks(model):
            found = _differences(in_double(model), image.double())
    except Exception as error:  # the network may not run in float64, or not at this point
        if is_out_of_memory(error):
            raise
        return
    if found is None or abs(found[0] - found[1]) <= found[2]:
        return
    raise InputError(
        "the gradient that torch gives is not the derivative of the network's scores by the image"
        f" ({found[1]:.3g} instead of {found[0]:.3g} along a direction that was tried): something in its forward pass is"
        " hidden from the gradient, such as detach, no_grad, numpy, a hook or a backward pass of its own"
    )


def _differences(model: nn.Module, image: Tensor) -> tuple[float, float, float] | None:
    """The derivative along a direction by differences, by the gradient, and how far they may be apart; None where
    the pass holds numbers that are too coarse to tell.
    """
    generator = torch.Generator().manual_seed(_SEED)

    def drawn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    largest = float(image.abs().max()) or 1.0
    point = image + _ASIDE * largest * drawn(image)
    direction = drawn(image)
    with torch.enable_grad(), _Coarsest() as coarsest:
        leaf = point.clone().requires_grad_(True)
        scores = logits_of(model, leaf.clone())
    if coarsest.dtype != torch.float64:
        return None
    weights = torch.where(scores.detach().isfinite(), drawn(scores), 0)

    def weighted(found: Tensor) -> Tensor:
        return torch.where(weights == 0, 0, found * weights).sum()

    (gradient,) = torch.autograd.grad(weighted(scores), leaf)
    step = _STEP * largest
    with torch.no_grad():
        up, down = (logits_of(model, point + side * step * direction) for side in (1, -1))
    by_differences = float(weighted(up) - weighted(down)) / (2 * step)
    size = float(torch.where(weights == 0, 0, scores.detach()).abs().max())
    noise = _ROUNDING * torch.finfo(torch.float64).eps * size / step
    norm = float(torch.linalg.vector_norm(gradient))
    # What is not finite is said where the heatmaps are made.
    if not all(map(torch.isfinite, torch.tensor([by_differences, norm, noise]))):
        return None
    return by_differences, float((gradient * direction).sum()), _ALLOWED * norm + noise


class _Coarsest(TorchDispatchMode):
    """The least precise floating-point dtype of what operators give."""

    def __init__(self) -> None:
        super().__init__()
        self.dtype = torch.float64

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                self.dtype = max(self.dtype, leaf.dtype, key=lambda dtype: torch.finfo(dtype).eps)
        return found


@contextmanager
def without_backward_hooks(model: nn.Module) -> Iterator[None]:
    """Hooks on modules that act on gradients are laid aside: they are no part of what the network computes."""
    owners = [vars(module) for module in model.modules()]
    hooks = [owner[name] for owner in owners for name in ("_backward_hooks", "_backward_pre_hooks") if name in owner]
    hooks += [_all_modules._global_backward_hooks, _all_modules._global_backward_pre_hooks]
    before = [dict(each) for each in hooks]
    try:
        for each in hooks:
            each.clear()
        yield
    finally:
        for each, content in zip(hooks, before, strict=True):
            each.clear()
            each.update(content)
