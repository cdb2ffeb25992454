"""Explainers: one module a method, called by the paper's names.

An explainer is a function ``explain(model, images, targets) -> heatmaps``: images (N, C, H, W) as
the model takes them, targets (N,) int64, heatmaps (N, H, W). It never changes the model, and works
on the device and in the precision of the images.
"""

import importlib
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.models.dropout import active_dropout
from aopc.models.inference import (
    as_images,
    default_batch_size,
    device_of,
    evaluating,
    targets_or_predictions,
)
from aopc.registry import resolve

#: The baseline: its perturbation curves use random orders, not a heatmap.
RANDOM = "random"


class Explainer(Protocol):
    """The contract of an explainer; see the module's docstring."""

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor: ...


def _method(path: str, **settings: Any) -> Explainer:
    """An explainer whose module is imported at its first use: zennit takes a second to import."""

    def explain(model: nn.Module, images: Tensor, targets: Tensor, **more: Any) -> Tensor:
        module, _, function = path.partition(":")
        method = getattr(importlib.import_module(f"aopc.explainers.{module}"), function)
        return method(model, images, targets, **settings, **more)

    return explain


#: Name → explainer, in the order of the paper's legend.
EXPLAINERS: dict[str, Explainer] = {
    "sensitivity-l2": _method("sensitivity:sensitivity", norm=2.0),
    "sensitivity-linf": _method("sensitivity:sensitivity", norm=float("inf")),
    "deconvolution-l2": _method("deconvolution:deconvolution", norm=2.0),
    "deconvolution-linf": _method("deconvolution:deconvolution", norm=float("inf")),
    "lrp-epsilon-0.01": _method("lrp:lrp_epsilon", epsilon=0.01),
    "lrp-epsilon-100": _method("lrp:lrp_epsilon", epsilon=100.0),
    "lrp-alpha2-beta1": _method("lrp:lrp_alpha_beta", alpha=2.0, beta=1.0),
    RANDOM: _method("random:random"),
}

#: Those of :data:`FURTHER` that do not know the network.
BLIND = ("centre-first", "image-edges")

#: Beyond the paper: baselines that do not know the network, and LRP with the other treatment of local
#: response normalisation.
FURTHER: dict[str, Explainer] = {
    "centre-first": _method("baselines:centre_first"),
    "image-edges": _method("baselines:image_edges"),
    "lrp-alpha2-beta1-lrn-identity": _method(
        "lrp:lrp_alpha_beta", alpha=2.0, beta=1.0, normalisation="identity"
    ),
}


def get_explainer(name: str) -> Explainer:
    """The explainer called ``name``: a key of :data:`EXPLAINERS` or of :data:`FURTHER`, or
    ``package.module:function``.

    Raises
    ------
    InputError
        If there is no such explainer.
    """
    explainer: Explainer = resolve("explainer", EXPLAINERS | FURTHER, name)
    return explainer


def heatmaps(
    model: nn.Module,
    images: Tensor | NDArray[np.floating],
    explainer: str | Explainer,
    targets: Tensor | NDArray[np.integer] | None = None,
    *,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    allow_nonfinite: bool = False,
    dropout_seed: int | None = None,
) -> NDArray[np.float32]:
    """Heatmaps of all images by one explainer.

    Parameters
    ----------
    model
        A classifier, (N, C, H, W) → (N, classes). It runs with dropout off and is left as it was.
    images
        (N, C, H, W), floating point, in the model's input space.
    explainer
        A name (see :data:`EXPLAINERS`), a dotted path, or a function.
    targets
        (N,) classes to explain; None: the predicted classes.
    image_ids
        Names for error messages; None: 0, 1, …
    batch_size
        Images a backward pass; None: chosen by image size and device.
    allow_nonfinite
        Let heatmaps with NaN or infinite values through, as NaN all over, instead of raising.
    dropout_seed
        Explain the network with its dropout layers active, as in training, with masks keyed by this
        seed and the image's id (:func:`aopc.models.dropout.active_dropout`); None: they are off.

    Returns
    -------
    (N, H, W) float32.

    Raises
    ------
    InputError
        If the explainer is not known, returns another shape, or returns a heatmap that is not
        finite; the message names the images.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
    ...                           torch.nn.Linear(4 * 6 * 6, 10))
    >>> heatmaps(net, torch.rand(2, 3, 8, 8), "lrp-alpha2-beta1").shape
    (2, 8, 8)
    """
    explain = get_explainer(explainer) if isinstance(explainer, str) else explainer
    label = explainer if isinstance(explainer, str) else getattr(explainer, "__name__", "explainer")
    images = as_images(images, model)
    chosen = targets_or_predictions(model, images, targets)
    ids = list(image_ids) if image_ids is not None else [str(i) for i in range(len(images))]
    size = batch_size or default_batch_size(model, tuple(images.shape[1:]))
    device = device_of(model)
    results = []
    with evaluating(model):
        for start in range(0, len(images), size):
            batch, classes = images[start : start + size], chosen[start : start + size]
            dropping = (
                nullcontext()
                if dropout_seed is None
                else active_dropout(model, ids[start : start + size], dropout_seed)
            )
            with dropping:
                result = explain(model, batch.to(device), classes.to(device)).detach()
            if tuple(result.shape) != (len(batch), *batch.shape[2:]):
                raise InputError(
                    f"the explainer {label!r} must return heatmaps of shape"
                    f" {(len(batch), *batch.shape[2:])}; it returned {tuple(result.shape)}"
                )
            results.append(result.float().cpu())
    maps = torch.cat(results).numpy()
    broken = ~np.isfinite(maps).all(axis=(1, 2))
    if broken.any() and not allow_nonfinite:
        raise InputError(
            f"the explainer {label!r} gave NaN or infinite values for"
            f" {listed([ids[i] for i in np.flatnonzero(broken)])}: look at the network's activations there"
        )
    maps[broken] = np.nan
    return maps


def heatmaps_of(
    model: nn.Module,
    images: Tensor | NDArray[np.floating],
    explainers: Sequence[str],
    targets: Tensor | NDArray[np.integer] | None = None,
    **options: Any,
) -> dict[str, NDArray[np.float32]]:
    """Heatmaps of all images by several explainers. Parameters as of :func:`heatmaps`."""
    images = as_images(images, model)
    chosen = targets_or_predictions(model, images, targets)
    return {name: heatmaps(model, images, name, chosen, **options) for name in explainers}


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ("image " if len(names) == 1 else "images ") + ", ".join(names[:most]) + more
