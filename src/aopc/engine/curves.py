"""Region perturbation: the curves f(x⁽ᵏ⁾) of a classifier while regions are removed one by one.

Samek et al., section III, equations 8 to 10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.arguments import as_integer, as_names, require_flag, require_instance
from aopc.base.errors import InputError
from aopc.base.machine import require_memory
from aopc.base.names import nearest, require_known
from aopc.base.progress import Progress, silent
from aopc.base.text import shown
from aopc.engine.choice import Runners
from aopc.engine.dtype import computing_in
from aopc.engine.replacements import Replacements, is_own
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Trajectories, target_scores
from aopc.models.inference import as_at_first, as_images, device_of, evaluating, taking, targets_or_predictions
from aopc.models.network import Network
from aopc.models.outputs import Output, warn_of, with_output
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.perturbation.curves import Curves
from aopc.perturbation.order import ORDERS, Order, Ranking
from aopc.perturbation.partition import Grid, Partition, as_partition
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.value_range import ValueRange

Heatmaps = Tensor | NDArray[np.floating]
Targets = Tensor | NDArray[np.integer]


@overload
def perturbation_curves(
    model: nn.Module | Network,
    images: Heatmaps,
    heatmaps: Heatmaps | None = None,
    targets: Targets | None = None,
    **options: Any,
) -> Curves: ...
@overload
def perturbation_curves(
    model: nn.Module | Network,
    images: Heatmaps,
    heatmaps: Mapping[str, Ranking],
    targets: Targets | None = None,
    **options: Any,
) -> dict[str, Curves]: ...
def perturbation_curves(
    model: nn.Module | Network,
    images: Heatmaps,
    heatmaps: Heatmaps | Mapping[str, Ranking] | None = None,
    targets: Targets | None = None,
    *,
    protocol: Protocol | None = None,
    order: Order | None = None,
    partition: Partition | None = None,
    orders_per_image: int | None = None,
    value_range: ValueRange | str | tuple[Any, Any] | None = None,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    dropout_seed: int | None = None,
    incremental: bool = True,
    output: Output = "logits",
    progress: Progress = silent,
    **changes: Any,
) -> Curves | dict[str, Curves]:
    """Remove regions in the order of the heatmaps and record the target's score at each step.

    The curves depend on the model, the images, their ids, the heatmaps and the settings, and only by rounding on the
    batch size and on which images are computed together. Each heatmap of an image is judged under the same noise.

    Parameters
    ----------
    model
        A classifier, (N, C, H, W) → (N, classes), or a :class:`aopc.Network`. It is left as it was.
    images
        (N, C, H, W), floating point, in the model's input space.
    heatmaps
        (N, H, W) of any scale; not used for random order. The curves of a heatmap that is NaN are NaN, for the
        statistics to leave out by name. Or rankings by name, whose curves come back by the same names and share what
        they can: noise, unperturbed passes, activations. The curves of one do not depend on the others.
    targets
        (N,) classes whose score is recorded; None: the predicted classes.
    protocol
        What is removed and how often; None: the paper's.
    order
        "morf" (most relevant first), "lerf" (least relevant first) or "random" (the baseline); None: "morf". Rankings
        have their own.
    partition
        The regions, the same for all images; None: the protocol's grid.
    orders_per_image
        For random order: how many orders an image, rounded up to a multiple of the repeats, whose noise is used in
        turn; None: as many as repeats. T is the larger of the two numbers.
    value_range
        Range of the random values: that of the network's preprocessing, by name ("imagenet"), a (low, high) in the
        model's input space, or a :class:`ValueRange`. None: a :class:`aopc.Network`'s own; for another model the
        smallest and largest value of each channel of each image, which no other image changes.
    image_ids
        N different names which key the random values; None: 0, 1, …
    batch_size
        Images a forward pass, and trajectories at once where they are computed incrementally; None: by the network,
        the images' size and the device. It is halved where memory runs out.
    dropout_seed
        Perturb the images before the network with its dropout layers active, as in training, with masks keyed by this
        seed and the image's id, so that an image meets one and the same thinned network at every step and under every
        explainer; None: they are off.
    incremental
        Compute at each step only what the removed region can change, where the network allows that and it pays; the
        curves are the same up to rounding. False: full passes only.
    output
        What the model's outputs are: "logits", scores before the softmax, or "probabilities": then the score is
        their logarithm (:class:`aopc.models.outputs.LogProbabilities`).
    progress
        Is told of finished images; see :mod:`aopc.base.progress`.
    **changes
        Settings of :class:`Protocol` in place of the protocol's: region_size, steps, repeats, removal, seed, dtype.

    Raises
    ------
    InputError
        If shapes do not agree, a setting is impossible, or the model's output is not finite; the message says which
        and what to do.

    Warns
    -----
    ResultWarning
        If the model's outputs look like probabilities, and ``output`` does not say so.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    >>> x = torch.rand(2, 3, 8, 8)
    >>> curves = perturbation_curves(net, x, x.sum(1), region_size=2, steps=5, repeats=3)
    >>> curves.logits.shape
    (2, 3, 6)
    """
    if isinstance(model, Network):
        value_range = model.preprocessing.value_range if value_range is None else value_range
        model = model.model
    model, images = with_output(model, output), as_images(images, model)
    protocol = _changed(Protocol() if protocol is None else protocol, changes)
    ids = as_names("image_ids", image_ids, len(images))
    _check_options(batch_size, dropout_seed, incremental, progress)
    height, width = images.shape[2:]
    regions = Grid(height, width, protocol.region_size) if partition is None else as_partition(partition)
    if (regions.height, regions.width) != (height, width):
        raise InputError(
            f"the partition is of images of {regions.height} × {regions.width} pixels; these have {height} × {width}"
        )
    setup = Setup(protocol, regions, _range(value_range, images.shape[1]), batch_size, dropout_seed, incremental)
    if is_own(setup.removal):  # it may know the caller's
        images = images.clone()
    if isinstance(heatmaps, Mapping):
        if order is not None or orders_per_image is not None:
            raise InputError("rankings have their own orders: leave out order and orders_per_image")
        if not heatmaps:
            raise InputError("there is no ranking: give one at least")
        for name, ranking in heatmaps.items():
            require_instance(f"the ranking {name!r}", ranking, Ranking, "a Ranking (Ranking.of_heatmaps)")
            if ranking.orders.shape[::2] != (len(images), regions.count):
                raise InputError(
                    f"the ranking {name!r} must order {regions.count} regions of {len(images)} images;"
                    f" its orders have the shape {ranking.orders.shape}"
                )
        return _curves(model, images, heatmaps, targets, setup, ids, progress)
    if orders_per_image is not None:
        orders_per_image = as_integer("orders_per_image", orders_per_image, 1)
    order = "morf" if order is None else order
    require_known("order", order, ORDERS)
    if order == "random":
        count = orders_per_image or protocol.repeats
        ranking = Ranking.at_random(regions, ids, count, protocol.repeats, protocol.seed)
    elif heatmaps is None:
        raise InputError("heatmaps are needed for the orders morf and lerf")
    else:
        ranking = Ranking.of_heatmaps(regions, heatmaps, order, ids, protocol.seed)
    return _curves(model, images, {"": ranking}, targets, setup, ids, progress)[""]


#: What settings were called before.
_RENAMED = {"arithmetic": "dtype"}


def _changed(protocol: Protocol, changes: Mapping[str, Any]) -> Protocol:
    require_instance("protocol", protocol, Protocol, "a Protocol")
    # Orders, dropout and places say what to explain, too, which is not the engine's business.
    known = {f.name for f in fields(Protocol)} - {"random_orders", "orders", "dropout", "places"}
    for name in changes:
        if name in _RENAMED:
            raise InputError(f"the setting {name!r} is called {_RENAMED[name]!r} now")
        if name not in known:
            raise InputError(f"unknown setting {name!r}: {nearest(name, sorted(known))}")
    return replace(protocol, **changes)


def _check_options(batch_size: int | None, dropout_seed: int | None, incremental: bool, progress: Progress) -> None:
    """InputError if one of them is not what :func:`perturbation_curves` takes."""
    if batch_size is not None:
        as_integer("batch_size", batch_size, 1)
    if dropout_seed is not None:
        as_integer("dropout_seed", dropout_seed)
    require_flag("incremental", incremental)
    if not callable(progress):
        raise InputError(f"progress must be a function; got {shown(progress)}")


def _range(given: ValueRange | str | tuple[Any, Any] | None, channels: int) -> ValueRange | None:
    """A value range as of :func:`perturbation_curves` for so many channels; InputError if it is none."""
    if given is None:
        return None
    if isinstance(given, str):
        require_known("preprocessing of value_range", given, PREPROCESSINGS)
        given = PREPROCESSINGS[given].value_range
    elif not isinstance(given, ValueRange):
        try:
            low, high = (np.asarray(end, dtype=np.float64).ravel().tolist() for end in given)
            given = ValueRange(tuple(low), tuple(high))
        except (TypeError, ValueError) as error:
            raise InputError(
                "value_range must be the name of a preprocessing, (low, high) or a ValueRange, low below high; got"
                f" {shown(given)}"
            ) from error
    return given.for_channels(channels)


def _curves(
    model: nn.Module,
    images: Tensor,
    rankings: Mapping[str, Ranking],
    targets: Targets | None,
    setup: Setup,
    ids: tuple[str, ...],
    progress: Progress,
) -> dict[str, Curves]:
    chosen, device = targets_or_predictions(model, images, targets).numpy(), device_of(model)
    _require_room(images, rankings, setup)
    # (2, N, T, L + 1) by ranking.
    results = {
        name: np.full((2, len(ids), max(ranking.orders.shape[1], setup.repeats), setup.steps + 1), np.nan, np.float32)
        for name, ranking in rankings.items()
    }
    with (
        # Not in inference mode: a forward pass of the user's own may want gradients, or ask for the mode.
        torch.no_grad(),
        evaluating(model),
        taking(images),
        computing_in(setup.protocol.dtype, device),
        Replacements(model, images, ids, setup) as replacements,
        as_at_first(model, images[:1].to(device)),
    ):
        runners = Runners(model, images[:1].to(device), setup, len(images) * setup.repeats)
        start = 0
        while start < len(images):
            part = slice(start, min(start + runners.current.images_at_once, len(images)))
            try:
                # A copy of the pixels in any case: a model may change its input.
                pixels = images[part].to(device).permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
                few = Images(pixels, replacements(part), ids[part])
                own = {name: Ranking(r.orders[part], r.usable[part]) for name, r in rankings.items()}
                into = {name: values[:, part] for name, values in results.items()}
                _compute(model, few, chosen[part], own, runners, setup, into)
            except (RuntimeError, MemoryError) as error:
                runners.shrink(error)
                continue
            progress(part.stop - start)
            start = part.stop
    return {name: Curves(values[0], values[1], chosen, ids) for name, values in results.items()}


def _require_room(images: Tensor, rankings: Mapping[str, Ranking], setup: Setup) -> None:
    """InputError if the results, and the replacement images of one image, do not fit into memory."""
    trajectories = sum(max(r.orders.shape[1], setup.repeats) for r in rankings.values())
    results = 2 * 4 * len(images) * trajectories * (setup.steps + 1)
    what = f"{len(images)} images, {trajectories} trajectories each, {setup.steps} steps"
    require_memory(results + setup.repeats * images[0].numel() * images.element_size(), what)


def _compute(
    model: nn.Module,
    images: Images,
    targets: NDArray[np.int64],
    rankings: Mapping[str, Ranking],
    runners: Runners,
    setup: Setup,
    results: Mapping[str, NDArray[np.float32]],
) -> None:
    """Write the results of images whose trajectories are computed together. InputError if a target is no output of the
    model, or an output is not finite.
    """
    scores, shared = runners.current.unperturbed(images)
    warn_of(model, scores.float().cpu().numpy())
    for name, target in zip(images.ids, targets, strict=True):
        if not 0 <= target < scores.shape[1]:
            raise InputError(
                f"the target of image {name} is class {target}, but the model has {scores.shape[1]} classes"
            )
    whole = target_scores(scores, torch.from_numpy(targets).to(scores.device))
    for name, ranking in rankings.items():
        found, usable = results[name], np.flatnonzero(ranking.usable)
        # Of all that is to be computed: the image, and which of its trajectories.
        row, number = np.repeat(usable, found.shape[2]), np.tile(np.arange(found.shape[2]), len(usable))
        at_start = whole[:, row].cpu().numpy()
        _require_finite(at_start[..., None], images, row, first_step=0)
        found[:, row, number, 0] = at_start
        for part in _parts(len(row), runners.current.trajectories_at_once):
            rows, numbers = row[part], number[part]
            few = Trajectories(
                image=rows,
                noise=rows * setup.repeats + numbers % setup.repeats,
                target=targets[rows],
                order=ranking.orders[rows, numbers % ranking.orders.shape[1]],
            )
            values = runners.current.run(images, shared, few, setup.steps)
            steps = values.cpu().numpy()
            _require_finite(steps, images, rows, first_step=1)
            found[:, rows, numbers, 1:] = steps


def _require_finite(values: NDArray[np.float32], images: Images, rows: NDArray[np.int64], first_step: int) -> None:
    broken = ~np.isfinite(values).all(axis=0)
    if broken.any():
        row, step = np.argwhere(broken)[0]
        raise InputError(
            f"the model's output is NaN or infinite for image {images.ids[rows[row]]} at step {first_step + step}:"
            " check the weights, the preprocessing and the value range"
        )


def _parts(count: int, size: int) -> list[slice]:
    """Parts of nearly equal length, at most ``size``."""
    bounds = np.linspace(0, count, -(-count // size) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]
