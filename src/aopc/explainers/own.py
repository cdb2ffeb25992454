"""Calls to explainers that are functions: whatever they do, the network and the other explainers do not notice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.errors import InputError, reason_of
from aopc.explainers.contract import Explainer
from aopc.models.state import NetworkState, random_numbers, settings_as_before

#: As many changes are named.
_NAMED = 3


def explained_by(
    name: str,
    explain: Explainer,
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    image_ids: Sequence[str],
    state: NetworkState,
) -> Tensor:
    """Heatmaps (N, H, W) float32 on the CPU, by the contract (:mod:`aopc.explainers.contract`).

    Parameters
    ----------
    name, explain
        What to call the explainer in messages, and itself.
    model
        In evaluation mode.
    images, targets
        (N, C, H, W) and (N,), of which it gets copies.
    image_ids
        The images' names, which key its random numbers.
    state
        The model's, which is restored.

    Raises
    ------
    InputError
        If it fails, leaves the network other than before, or returns no heatmaps; the message names it.
    """
    changed: list[str] = []
    try:
        try:
            with settings_as_before(), random_numbers(*image_ids):
                state.without_gradients()
                result = explain(model, images.detach().clone(), targets.clone())
                maps = as_heatmaps(result, (len(images), *images.shape[2:]), name)
        finally:
            changed = state.restore()
    except (InputError, torch.OutOfMemoryError, MemoryError, KeyboardInterrupt):
        raise
    # The user's function may fail in any way, and sys.exit() in it should not end the run without a word.
    except BaseException as error:
        raise InputError(f"the explainer {name!r} failed: {type(error).__name__}: {reason_of(error)[:300]}") from error
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise InputError(
            f"the explainer {name!r} changed the network and did not put it back ({', '.join(changed[:_NAMED])}{more}):"
            " let it work on copy.deepcopy(model), and remove its hooks"
        )
    return maps


def as_heatmaps(result: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """What an explainer returned as (N, H, W) float32 on the CPU, a copy.

    A heatmap whose values are so small that float32 would lose them is NaN all over.

    Raises
    ------
    InputError
        If it is no tensor or array of real numbers, or has not the ``shape`` (N, H, W).
    """
    if isinstance(result, np.ndarray) and not isinstance(result, np.ma.MaskedArray) and result.dtype.kind in "fiub":
        values = torch.from_numpy(np.array(result, dtype=np.float64))
    elif isinstance(result, Tensor) and _is_plain(result):
        values = result.detach().cpu().double()
    else:
        raise InputError(
            f"the explainer {name!r} must return heatmaps of shape {shape}, a tensor or a numpy array of real numbers;"
            f" it returned {_said(result)}"
        )
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if tuple(values.shape) != shape:
        raise InputError(
            f"the explainer {name!r} must return heatmaps of shape {shape}; it returned {tuple(values.shape)}"
        )
    largest = values.abs().amax((1, 2), keepdim=True)
    lost = (largest > 0) & (largest < torch.finfo(torch.float32).tiny)
    return torch.where(lost, torch.nan, values).float()


def _is_plain(tensor: Tensor) -> bool:
    odd = tensor.is_complex() or tensor.is_quantized or tensor.is_nested or tensor.is_meta
    return not odd and tensor.layout == torch.strided


def _said(result: object) -> str:
    dtype = getattr(result, "dtype", None)
    return type(result).__name__ if dtype is None else f"{type(result).__name__} of {dtype}"
