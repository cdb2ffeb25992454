"""The contract test of an explainer, for the user's own as for ours.

>>> check_explainer("sensitivity-l2")
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.explainers.contract import Explainer, name_of
from aopc.explainers.registry import Backward, get_explainer
from aopc.explainers.run import heatmaps_of
from aopc.models.state import NetworkState

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

    It can be called; its heatmaps are real, of the right shape, and finite; the network is as before; a second call
    gives the same, also behind other explainers; and heatmaps of an image do not depend on the others in the batch.

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
    targets, before = np.arange(len(images)) % 2, NetworkState(model)
    name = explainer if isinstance(explainer, str) else name_of(explainer)
    explain = get_explainer(explainer) if isinstance(explainer, str) else explainer

    def explained(rows: slice, **others: Explainer | Backward) -> NDArray[np.float32]:
        return heatmaps_of(model, images[rows], {**others, name: explain}, targets[rows])[name]

    maps = explained(slice(None))
    changed = before.restore()
    _require(not changed, f"it leaves the network other than before ({', '.join(changed)})")
    again = explained(slice(None), edges=get_explainer("image-edges"))
    _require(np.array_equal(again, maps), "a second call gives other heatmaps")
    alone = np.concatenate([explained(slice(i, i + 1)) for i in range(len(images))])
    far = np.abs(alone - maps).max() > ROUNDING * max(float(np.abs(maps).max()), 1e-30)
    _require(not far, "heatmaps of an image depend on the others in its batch, or on random numbers")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InputError(f"the explainer breaks its contract: {what}")
