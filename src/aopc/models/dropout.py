"""Dropout that is active outside training, and yet the same in every run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from aopc.base.errors import InputError
from aopc.base.random import Stream


def has_dropout(model: nn.Module) -> bool:
    """Whether :func:`active_dropout` has layers to make active."""
    return any(isinstance(m, _DropoutNd) and m.p > 0 for m in model.modules())


@contextmanager
def active_dropout(model: nn.Module, image_ids: Sequence[str], seed: int) -> Iterator[nn.Module]:
    """The model with its dropout layers active, as in training (Samek et al., claim on dropout).

    Which units are dropped is keyed by the seed, the layer and the image, so it depends neither on the batch nor on
    what was computed before: an image meets the same thinned network each time, in the pass that explains it and in
    those that see it perturbed.

    Parameters
    ----------
    model
        In evaluation mode; ``nn.Dropout`` and its kin are made active, nothing else changes.
    image_ids
        Of the rows of each batch that the model will be given, of which a shorter batch takes the first; a single id
        stands for all rows.
    seed
        Of the masks.

    Raises
    ------
    InputError
        If the model has no dropout layer, or a batch has more rows than there are ids.
    """
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, _DropoutNd)]
    for name, module in layers:
        if isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout):
            raise InputError(f"the layer {name!r} is alpha dropout, which is not supported")
    if not layers:
        raise InputError("this model has no dropout layers to make active")
    handles = [m.register_forward_hook(_masking(name, list(image_ids), seed)) for name, m in layers]
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()


def _masking(layer: str, image_ids: list[str], seed: int) -> Any:
    known: dict[tuple[int, ...], Tensor] = {}

    def mask(module: _DropoutNd, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if len(image_ids) != 1 and len(image_ids) < len(output):
            raise InputError(f"active dropout was given {len(image_ids)} images, but a batch has {len(output)}")
        shape = tuple(output.shape[1:])
        if not isinstance(module, nn.Dropout):  # Dropout1d and so on drop whole channels
            shape = (shape[0], *[1] * (len(shape) - 1))
        if shape not in known:
            drawn = {i: Stream(seed, "dropout", layer, i).uniform(shape) for i in set(image_ids)}
            known[shape] = torch.from_numpy(np.stack([drawn[i] for i in image_ids]))
        kept = (known[shape][: len(output)] >= module.p).to(output)
        return output * kept / (1 - module.p) if module.p < 1 else output * kept

    return mask
