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

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.base.progress import Progress, silent
from aopc.engine.choice import Runners
from aopc.engine.dtype import computing_in
from aopc.engine.replacements import Replacements
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Trajectories, target_scores
from aopc.models.inference import as_images, device_of, evaluating, targets_or_predictions
from aopc.perturbation.curves import Curves
from aopc.perturbation.order import ORDERS, Order, Ranking
from aopc.perturbation.partition import Grid, Partition
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.value_range import ValueRange

Heatmaps = Tensor | NDArray[np.floating]


@overload
def perturbation_curves(
    model: nn.Module,
    images: Heatmaps,
    heatmaps: Heatmaps | None = None,
    targets: Tensor | NDArray[np.integer] | None = None,
    **settings: Any,
) -> Curves: ...
@overload
def perturbation_curves(
    model: nn.Module,
    images: Heatmaps,
    heatmaps: Mapping[str, Ranking],
    targets: Tensor | NDArray[np.integer] | None = None,
    **settings: Any,
) -> dict[str, Curves]: ...
def perturbation_curves(
    model: nn.Module,
    images: Heatmaps,
    heatmaps: Heatmaps | Mapping[str, Ranking] | None = None,
    targets: Tensor | NDArray[np.integer] | None = None,
    *,
    protocol: Protocol | None = None,
    order: Order = "morf",
    partition: Partition | None = None,
    orders_per_image: int | None = None,
    value_range: ValueRange | None = None,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    dropout_seed: int | None = None,
    incremental: bool = True,
    progress: Progress = silent,
    **changes: Any,
) -> Curves | dict[str, Curves]:
    """Remove regions in the order of the heatmaps and record the target's score at each step.

    The curves depend on the model, the images, their ids, the heatmaps and the settings, and only by
    rounding on the batch size and on which images are computed together. Each heatmap of an image is judged
    under the same noise.

    Parameters
    ----------
    model
        A classifier, (N, C, H, W) → (N, classes). It is left as it was.
    images
        (N, C, H, W), floating point, in the model's input space.
    heatmaps
        (N, H, W) of any scale; not used for random order. The curves of a heatmap that is NaN are
        NaN, for the statistics to leave out by name. Or rankings by name, whose curves come back by the
        same names and share what they can: noise, unperturbed passes, activations. The curves of
        one do not depend on the others.
    targets
        (N,) classes whose score is recorded; None: the predicted classes.
    protocol
        What is removed and how often; None: the paper's.
    order
        "morf" (most relevant first), "lerf" (least relevant first) or "random" (the baseline).
    partition
        The regions, the same for all images; None: the protocol's grid.
    orders_per_image
        For random order: how many orders an image, rounded up to a multiple of the repeats, whose
        noise is used in turn; None: as many as repeats. T is the larger of the two numbers.
    value_range
        Range of the random values; None: the smallest and largest value of each channel in
        ``images``. Give it where images are computed in parts, since it must not change.
    image_ids
        N different names which key the random values; None: 0, 1, …
    batch_size
        Images a forward pass, and trajectories at once where they are computed incrementally; None:
        by the network, the images' size and the device. It is halved where memory runs out.
    dropout_seed
        Perturb the images before the network with its dropout layers active, as in training, with
        masks keyed by this seed and the image's id, so that an image meets one and the same thinned
        network at every step and under every explainer; None: they are off.
    incremental
        Compute at each step only what the removed region can change, where the network allows that
        and it pays; the curves are the same up to rounding. False: full passes only.
    progress
        Is told of finished images; see :mod:`aopc.base.progress`.
    **changes
        Settings of :class:`Protocol` in the place of the protocol's: region_size, steps, repeats,
        removal, seed, dtype.

    Raises
    ------
    InputError
        If shapes do not agree, a setting is impossible, or the model's output is not finite; the
        message says which and what to do.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    >>> x = torch.rand(2, 3, 8, 8)
    >>> curves = perturbation_curves(net, x, x.sum(1), region_size=2, steps=5, repeats=3)
    >>> curves.logits.shape
    (2, 3, 6)
    """
    images = as_images(images, model)
    protocol = _changed(protocol or Protocol(), changes)
    ids = names_of(images, image_ids)
    height, width = images.shape[2:]
    regions = partition or Grid(height, width, protocol.region_size)
    if (regions.height, regions.width) != (height, width):
        raise InputError(
            f"the partition is of images of {regions.height} × {regions.width} pixels; these have"
            f" {height} × {width}"
        )
    setup = Setup(protocol, regions, value_range, batch_size, dropout_seed, incremental)
    if isinstance(heatmaps, Mapping):
        for name, given in heatmaps.items():
            if given.orders.shape[::2] != (len(images), regions.count):
                raise InputError(
                    f"the ranking {name!r} must order {regions.count} regions of {len(images)} images;"
                    f" its orders have the shape {given.orders.shape}"
                )
        return _curves(model, images, heatmaps, targets, setup, ids, progress)
    if orders_per_image is not None and orders_per_image < 1:
        raise InputError("orders_per_image must be at least 1")
    if order not in ORDERS:
        raise InputError(f"unknown order {order!r}: {nearest(order, ORDERS)}")
    if order == "random":
        count = protocol.repeats if orders_per_image is None else orders_per_image
        ranking = Ranking.at_random(regions, ids, count, protocol.repeats, protocol.seed)
    elif heatmaps is None:
        raise InputError("heatmaps are needed for the orders morf and lerf")
    else:
        ranking = Ranking.of_heatmaps(regions, heatmaps, order, ids, protocol.seed)
    return _curves(model, images, {"": ranking}, targets, setup, ids, progress)[""]


#: What settings were called before.
_RENAMED = {"arithmetic": "dtype"}


def _changed(protocol: Protocol, changes: Mapping[str, Any]) -> Protocol:
    # Orders, dropout and places say what to explain, too, which is not the engine's business.
    known = {f.name for f in fields(Protocol)} - {"random_orders", "orders", "dropout", "places"}
    for name in changes:
        if name in _RENAMED:
            raise InputError(f"the setting {name!r} is called {_RENAMED[name]!r} now")
        if name not in known:
            raise InputError(f"unknown setting {name!r}: {nearest(name, sorted(known))}")
    return replace(protocol, **changes)


def _curves(
    model: nn.Module,
    images: Tensor,
    rankings: Mapping[str, Ranking],
    targets: Tensor | NDArray[np.integer] | None,
    setup: Setup,
    image_ids: Sequence[str],
    progress: Progress,
) -> dict[str, Curves]:
    chosen = targets_or_predictions(model, images, targets).numpy()
    results = {name: _nothing(r, setup) for name, r in rankings.items()}
    with (
        torch.inference_mode(),
        evaluating(model),
        computing_in(setup.protocol.dtype, device_of(model)),
        Replacements(model, images, image_ids, setup) as replacements,
    ):
        count = len(images) * setup.repeats
        runners = Runners(model, images[:1].to(device_of(model)), setup, count)
        start = 0
        while start < len(images):
            part = slice(start, min(start + runners.current.images_at_once, len(images)))
            try:
                group = _Group(model, images, chosen, image_ids, part, setup, replacements)
                done = group.compute(runners, rankings, results)
            except (RuntimeError, MemoryError) as error:
                runners.shrink(error)
                continue
            if done:
                progress(part.stop - start)
                start = part.stop
    return {
        name: Curves(values[0], values[1], chosen, tuple(image_ids))
        for name, values in results.items()
    }


def _nothing(ranking: Ranking, setup: Setup) -> NDArray[np.float32]:
    """(2, N, T, L + 1) of NaN."""
    images, orders = ranking.orders.shape[:2]
    shape = (2, images, max(orders, setup.repeats), setup.steps + 1)
    return np.full(shape, np.nan, dtype=np.float32)


class _Group:
    """Some images, all of whose trajectories are computed together."""

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        targets: NDArray[np.int64],
        ids: Sequence[str],
        part: slice,
        setup: Setup,
        replacements: Replacements,
    ) -> None:
        self._start, self._setup = part.start, setup
        self._targets, self._count = targets[part], part.stop - part.start
        self._ids = tuple(ids[part])
        pixels = images[part].to(device_of(model)).permute(0, 2, 3, 1)
        # A copy in any case: a model may change its input.
        pixels = pixels.clone(memory_format=torch.contiguous_format)
        self._images = Images(pixels, replacements(part), self._ids)

    def compute(
        self,
        runners: Runners,
        rankings: Mapping[str, Ranking],
        results: Mapping[str, NDArray[np.float32]],
    ) -> bool:
        """Write the group's part of the results; False: it is to be done again, by another runner.

        Raises
        ------
        InputError
            If a target is no output of the model, or an output is not finite.
        """
        scores, shared = runners.current.unperturbed(self._images)
        self._check_targets(scores.shape[1])
        whole = target_scores(scores, torch.from_numpy(self._targets).to(scores.device))
        for name, ranking in rankings.items():
            found = results[name]
            rows, trajectory = self._which(ranking, found.shape[2])
            self._check(whole[:, rows].cpu().numpy()[..., None], rows, first_step=0)
            found[:, self._start + rows, trajectory, 0] = whole.cpu().numpy()[:, rows]
            for part in _parts(len(rows), runners.current.trajectories_at_once):
                few = self._trajectories(ranking, rows[part], trajectory[part])
                values = runners.current.run(self._images, shared, few, self._setup.steps)
                if not runners.agrees(self._images, few, values, whole[:, rows[part]]):
                    return False
                at = values.cpu().numpy()
                self._check(at, rows[part], first_step=1)
                found[:, self._start + rows[part], trajectory[part], 1:] = at
        return True

    def _which(
        self, ranking: Ranking, trajectories: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The image, counted in the group, and the trajectory of all that is to be computed."""
        usable = np.flatnonzero(ranking.usable[self._start : self._start + self._count])
        return np.repeat(usable, trajectories), np.tile(np.arange(trajectories), len(usable))

    def _trajectories(
        self, ranking: Ranking, rows: NDArray[np.int64], trajectory: NDArray[np.int64]
    ) -> Trajectories:
        return Trajectories(
            image=rows,
            noise=rows * self._setup.repeats + trajectory % self._setup.repeats,
            target=self._targets[rows],
            order=ranking.orders[self._start + rows, trajectory % ranking.orders.shape[1]],
        )

    def _check_targets(self, classes: int) -> None:
        for name, target in zip(self._ids, self._targets, strict=True):
            if not 0 <= target < classes:
                raise InputError(
                    f"the target of image {name} is class {target}, but the model has {classes}"
                    " classes"
                )

    def _check(self, values: NDArray[np.float32], rows: NDArray[np.int64], first_step: int) -> None:
        broken = ~np.isfinite(values).all(axis=0)
        if broken.any():
            row, step = np.argwhere(broken)[0]
            raise InputError(
                f"the model's output is NaN or infinite for image {self._ids[rows[row]]} at step"
                f" {first_step + step}: check the weights, the preprocessing and the value range"
            )


def _parts(count: int, size: int) -> list[slice]:
    """Parts of nearly equal length, at most ``size``."""
    bounds = np.linspace(0, count, -(-count // size) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


def names_of(images: Tensor, image_ids: Sequence[str] | None) -> tuple[str, ...]:
    """The images' names: those given, or their numbers.

    Raises
    ------
    InputError
        If there is not one name an image, all different.
    """
    ids = tuple(map(str, range(len(images)) if image_ids is None else image_ids))
    if len(ids) != len(images) or len(set(ids)) != len(ids):
        raise InputError(f"image_ids must be {len(images)} different names; got {len(set(ids))}")
    return ids
