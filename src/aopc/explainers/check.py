"""The contract test of an explainer, for the user's own as for ours.

>>> check_explainer("sensitivity-l2")
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.explainers.contract import Explainer
from aopc.explainers.run import heatmaps

#: How far heatmaps of an image may differ by which others are in the batch, of the largest value.
ROUNDING = 1e-4


def example_network() -> nn.Sequential:
    """Convolution, pooling, normalisation, dropout and fully connected layers on 3 × 16 × 16; seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(3, alpha=0.1),
            nn.Conv2d(8, 8, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8 * 8 * 8, 5),
        )


def check_explainer(explainer: str | Explainer, model: nn.Module | None = None, images: Tensor | None = None) -> None:
    """Whether an explainer keeps the contract (:mod:`aopc.explainers.contract`).

    Its heatmaps have the right shape and dtype and are finite; a second call gives the same; those of an image do
    not depend on the others in the batch; images, model, modes, gradients and hooks are as before.

    Parameters
    ----------
    explainer
        A name, a dotted path or a function.
    model, images
        To check it on; None: :func:`example_network`, and four images of noise.

    Raises
    ------
    InputError
        That says which part of the contract is broken.
    """
    model = example_network() if model is None else model
    if images is None:
        images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    targets, given = np.arange(len(images)) % 2, images.clone()
    before = _state(model)

    def explained(part: slice = slice(None)) -> Any:
        return heatmaps(model, given[part], explainer, targets[part])

    maps = explained()
    _require(maps.dtype == np.float32, "its heatmaps must be float32")
    _require(torch.equal(given, images), "it changes the images that it is given")
    after = _state(model)
    for what, state in before.items():
        _require(state == after[what], f"it leaves the model's {what} other than before")
    _require(np.array_equal(explained(), maps), "a second call gives other heatmaps")
    alone = np.concatenate([explained(slice(i, i + 1)) for i in range(len(images))])
    far = np.abs(alone - maps).max() > ROUNDING * max(float(np.abs(maps).max()), 1e-30)
    _require(not far, "heatmaps of an image depend on the others in its batch")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InputError(f"the explainer breaks its contract: {what}")


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _state(model: nn.Module) -> dict[str, list[Any]]:
    """All that an explainer must leave as it was; tensors as bytes, so that they compare."""
    modules, parameters = list(model.modules()), list(model.parameters())
    return {
        "modes": [m.training for m in modules],
        "hooks": [len(getattr(m, hooks)) for m in modules for hooks in _HOOKS],
        "layers": [(type(m), getattr(m.forward, "__func__", m.forward)) for m in modules],
        "weights": [_bytes(t) for t in (*parameters, *model.buffers())],
        "gradients": [None if p.grad is None else _bytes(p.grad) for p in parameters],
        "switches of gradients": [p.requires_grad for p in parameters],
    }


def _bytes(tensor: Tensor) -> bytes:
    return tensor.numpy(force=True).tobytes()
