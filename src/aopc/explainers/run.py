"""Heatmaps of images by explainers, in batches, with what several explainers can share."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.arguments import as_integer, as_names, require_flag
from aopc.base.errors import InputError
from aopc.base.names import listed, resolve
from aopc.explainers.backward.derivative import require_derivative
from aopc.explainers.backward.rules import RuleSet
from aopc.explainers.backward.signals import Signals
from aopc.explainers.contract import Explainer, check_callable, name_of
from aopc.explainers.own import explained_by
from aopc.explainers.registry import Backward, get_explainer
from aopc.models.dropout import active_dropout
from aopc.models.inference import (
    as_images,
    batch_size_of,
    device_of,
    evaluating,
    images_share_a_batch,
    logits_of,
    taking,
    targets_or_predictions,
)
from aopc.models.outputs import Output, with_output
from aopc.models.state import NetworkState


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
    output: Output = "logits",
) -> NDArray[np.float32]:
    """Heatmaps of all images by one explainer.

    Parameters
    ----------
    model
        A classifier, (N, C, H, W) → (N, classes). It runs with dropout off and is left as it was.
    images
        (N, C, H, W), floating point, in the model's input space.
    explainer
        A name (:data:`aopc.explainers.registry.EXPLAINERS`), a dotted path, or a function.
    targets
        (N,) classes to explain; None: the predicted classes.
    image_ids
        Names for error messages; None: 0, 1, …
    batch_size
        Images a backward pass; None: chosen by image size and device.
    allow_nonfinite
        Let heatmaps with NaN or infinite values through, as NaN all over, instead of raising.
    dropout_seed
        Explain the network with its dropout layers active, as in training, with masks keyed by this seed and the
        image's id (:func:`aopc.models.dropout.active_dropout`); None: they are off.
    output
        As of :func:`aopc.perturbation_curves`.

    Returns
    -------
    (N, H, W) float32.

    Raises
    ------
    InputError
        If the explainer is not known, returns another shape, or returns a heatmap that is not finite or too small for
        float32; the message names the images.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
    ...                           torch.nn.Linear(4 * 6 * 6, 10))
    >>> heatmaps(net, torch.rand(2, 3, 8, 8), "lrp-alpha2-beta1").shape
    (2, 8, 8)
    """
    name = explainer if isinstance(explainer, str) else name_of(explainer)
    return heatmaps_of(
        model,
        images,
        explainer if isinstance(explainer, str) else {name: explainer},
        targets,
        image_ids=image_ids,
        batch_size=batch_size,
        allow_nonfinite=allow_nonfinite,
        dropout_seed=dropout_seed,
        output=output,
    )[name]


def heatmaps_of(
    model: nn.Module,
    images: Tensor | NDArray[np.floating],
    explainers: str | Sequence[str] | Mapping[str, Explainer | Backward],
    targets: Tensor | NDArray[np.integer] | None = None,
    *,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    allow_nonfinite: bool = False,
    dropout_seed: int | None = None,
    output: Output = "logits",
) -> dict[str, NDArray[np.float32]]:
    """Heatmaps of all images by several explainers (names, or explainers by name), sharing each batch's forward pass.

    Explainers of other kinds than ours have passes of their own, and so has LRP in networks with batch normalisation,
    which it merges. The heatmaps of each are those that it gives alone. Parameters and errors as of :func:`heatmaps`.
    """
    chosen = _chosen(explainers)
    model, images = with_output(model, output), as_images(images, model)
    classes = targets_or_predictions(model, images, targets)
    ids = as_names("image_ids", image_ids, len(images))
    size = batch_size_of(model, images, batch_size)
    require_flag("allow_nonfinite", allow_nonfinite)
    if dropout_seed is not None:
        as_integer("dropout_seed", dropout_seed)
    results: dict[str, list[Tensor]] = {name: [] for name in chosen}
    if not any(isinstance(e, Backward) for e in chosen.values()):
        _require_classes(model, images, classes)
    with evaluating(model):
        with taking(images):
            together = images_share_a_batch(model, images[:1].to(device_of(model)))
        size = size if together else 1
        shared = _Shared(model, chosen, classes, together=together)
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            batch = images[part].to(device_of(model))
            dropping = nullcontext() if dropout_seed is None else active_dropout(model, ids[part], dropout_seed)
            with dropping:
                found = shared(batch, classes[part].to(batch.device), ids[part], fresh=dropout_seed is not None)
            for name, result in found.items():
                results[name].append(result)
    return {name: _finite(torch.cat(parts).numpy(), name, ids, allow_nonfinite) for name, parts in results.items()}


def _chosen(
    explainers: str | Sequence[str] | Mapping[str, Explainer | Backward],
) -> Mapping[str, Explainer | Backward]:
    if isinstance(explainers, Mapping):
        for name, explain in explainers.items():
            if not isinstance(explain, Backward):
                check_callable(name, explain)
        return explainers
    names = [explainers] if isinstance(explainers, str) else list(explainers)
    if not all(isinstance(name, str) for name in names):
        raise InputError("give explainers by name, or functions as {name: function}")
    return {name: get_explainer(name) for name in names}


def _require_classes(model: nn.Module, images: Tensor, classes: Tensor) -> None:
    """InputError if the model does not take the images, or a target is no output of it."""
    with evaluating(model), torch.no_grad(), taking(images):
        count = logits_of(model, images[:1].to(device_of(model), copy=True)).shape[1]
    if int(classes.max()) >= count:
        raise InputError(
            f"targets must be classes from 0 to {count - 1}, the model's outputs; got {int(classes.max())}"
        )


class _Shared:
    """All explainers on one batch; those of type :class:`Backward` on one forward pass, the others behind it."""

    def __init__(
        self, model: nn.Module, explainers: Mapping[str, Explainer | Backward], asked: Tensor, *, together: bool
    ) -> None:
        self._model, self._explainers, self._together = model, explainers, together
        sets = {e.signal: _rules_of(e) for e in explainers.values() if isinstance(e, Backward)}
        self._signals, self._checks = Signals(model, sets, asked), bool(sets)
        self._own = any(not isinstance(e, Backward) for e in explainers.values())
        self._state: NetworkState | None = None

    def __call__(self, images: Tensor, targets: Tensor, ids: Sequence[str], *, fresh: bool) -> dict[str, Tensor]:
        """``fresh``: the model is not the same as at the last call."""
        if self._own and (self._state is None or fresh):
            self._state = NetworkState(self._model)
        signals = self._signals(images, targets)
        if self._checks:  # behind the signals, whose messages name the step
            require_derivative(self._model, images[:1], once=self._together)
            self._checks = not self._together
        found: dict[str, Tensor] = {}
        for name, explain in self._explainers.items():
            if isinstance(explain, Backward):
                found[name] = _in_single(signals[explain.signal].heatmaps(partial(_heatmap, explain)).detach()).cpu()
            elif self._state is not None:
                found[name] = explained_by(name, explain, self._model, images, targets, ids, self._state)
        return found


def _rules_of(explainer: Backward) -> RuleSet:
    return resolve("rule set", {}, explainer.rules)(**explainer.settings)


def _heatmap(explainer: Backward, signal: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H, W)."""
    if explainer.norm is None:
        return signal.sum(dim=1)
    return torch.linalg.vector_norm(signal, ord=explainer.norm, dim=1)


#: Heatmaps whose largest value is smaller have errors of more than a thousandth of it in float32, whose smallest number
#: is 1.4e-45.
SMALLEST_MAXIMUM = 1.4e-42


def _in_single(maps: Tensor) -> Tensor:
    """(N, H, W) in float32; NaN all over where that cannot hold the heatmap."""
    largest = maps.double().abs().amax((1, 2), keepdim=True)
    lost = (largest > 0) & (largest < SMALLEST_MAXIMUM)
    return torch.where(lost, torch.nan, maps.float())


def _finite(maps: NDArray[np.float32], label: str, ids: Sequence[str], allow_nonfinite: bool) -> NDArray[np.float32]:
    """The heatmaps, NaN all over where one has a value that is not finite; InputError if that is not allowed."""
    broken = ~np.isfinite(maps).all(axis=(1, 2))
    if broken.any() and not allow_nonfinite:
        raise InputError(
            f"the explainer {label!r} gave NaN or infinite values, or such as are too small for float32 (all below"
            f" {SMALLEST_MAXIMUM}), for {listed([ids[int(i)] for i in np.flatnonzero(broken)])}: look at the"
            " network's activations there, or take a smaller ε"
        )
    maps[broken] = np.nan
    return maps
