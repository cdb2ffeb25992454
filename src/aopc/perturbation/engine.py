"""Region perturbation: the curves f(x⁽ᵏ⁾) of a classifier while regions are removed one by one.

Samek et al., section III, equations 8 to 10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.models.inference import as_images, device_of, evaluating, targets_or_predictions
from aopc.perturbation.arithmetic import Arithmetic, computing_in
from aopc.perturbation.noise import Noise
from aopc.perturbation.regions import (
    ORDERS,
    Grid,
    Order,
    heatmap_orders,
    random_orders,
    trajectories_at_random,
)
from aopc.perturbation.removal import Removal, ValueRange
from aopc.perturbation.runners import Runners
from aopc.perturbation.settings import Settings
from aopc.perturbation.trajectories import Images, Trajectories, target_scores
from aopc.progress import Progress, silent
from aopc.registry import nearest


@dataclass(frozen=True)
class Curves:
    """f(x⁽ᵏ⁾) for each image, trajectory and step.

    Attributes
    ----------
    logits
        (N, T, L + 1) float32: the target's score before the softmax. Step 0 is the whole image. A
        trajectory is one repeat of the noise and, for random order, one order.
    probabilities
        (N, T, L + 1) float32: its softmax probability, from the same forward passes.
    targets
        (N,) int64.
    image_ids
        N names.
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]
    image_ids: tuple[str, ...]

    @property
    def forwards(self) -> int:
        """Of how many images these curves are the scores: one whole image, then every step."""
        steps = self.logits[np.isfinite(self.logits[:, 0, 0]), :, 1:]
        return len(steps) + steps.size


@dataclass(frozen=True)
class Ranking:
    """In which orders the regions of each image are removed.

    Attributes
    ----------
    orders
        (N, K, R) int64: K orders an image.
    usable
        (N,): which images have any; the curves of the others are NaN.
    """

    orders: NDArray[np.int64]
    usable: NDArray[np.bool_]

    @classmethod
    def of_heatmaps(
        cls,
        grid: Grid,
        heatmaps: Tensor | NDArray[np.floating],
        order: Order,
        image_ids: Sequence[str],
        seed: int,
    ) -> "Ranking":
        """One order an image, by its heatmap (N, H, W). A heatmap that is not finite is not usable.

        Raises
        ------
        InputError
            If the heatmaps have another shape.
        """
        maps = _as_heatmaps(heatmaps, (len(image_ids), grid.height, grid.width))
        usable = np.isfinite(maps).all(axis=(1, 2))
        orders = heatmap_orders(grid, np.nan_to_num(maps), order, image_ids, seed)[:, None]
        return cls(orders, usable)

    @classmethod
    def at_random(
        cls, grid: Grid, image_ids: Sequence[str], count: int, repeats: int, seed: int
    ) -> "Ranking":
        """``count`` random orders an image, rounded up to a multiple of the repeats."""
        orders = random_orders(grid, image_ids, trajectories_at_random(count, repeats), seed)
        return cls(orders, np.ones(len(image_ids), dtype=bool))


def perturbation_curves(
    model: nn.Module,
    images: Tensor | NDArray[np.floating],
    heatmaps: Tensor | NDArray[np.floating] | None = None,
    targets: Tensor | NDArray[np.integer] | None = None,
    *,
    region_size: int = 9,
    steps: int = 100,
    repeats: int = 10,
    order: Order = "morf",
    removal: str | Removal = "uniform",
    seed: int = 0,
    orders_per_image: int | None = None,
    value_range: ValueRange | None = None,
    image_ids: Sequence[str] | None = None,
    batch_size: int | None = None,
    dropout_seed: int | None = None,
    arithmetic: Arithmetic = "float32",
    incremental: bool = True,
    progress: Progress = silent,
) -> Curves:
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
        NaN, for the statistics to leave out by name.
    targets
        (N,) classes whose score is recorded; None: the predicted classes.
    region_size
        Side of a region in pixels. What happens at the border: :class:`Grid`.
    steps
        L, the number of regions removed, one a step.
    repeats
        How often each image is perturbed with fresh random values.
    order
        "morf" (most relevant first), "lerf" (least relevant first) or "random" (the baseline).
    removal
        A name of :data:`REMOVALS`, a dotted path, or a function.
    seed
        Of the noise, the ties and the random orders.
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
    arithmetic
        In what the network computes: "float32" (IEEE), "tf32" (on GPUs that have it) or "bfloat16",
        which are faster and less exact (:mod:`aopc.perturbation.arithmetic`).
    incremental
        Compute at each step only what the removed region can change, where the network allows that
        and it pays; the curves are the same up to rounding. False: full passes only.
    progress
        Is told of finished images; see :mod:`aopc.progress`.

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
    if orders_per_image is not None and orders_per_image < 1:
        raise InputError("orders_per_image must be at least 1")
    if order not in ORDERS:
        raise InputError(f"unknown order {order!r}: {nearest(order, ORDERS)}")
    ids = names_of(images, image_ids)
    grid = Grid(images.shape[2], images.shape[3], region_size)
    settings = Settings(
        grid=grid,
        steps=steps,
        repeats=repeats,
        removal=removal,
        seed=seed,
        value_range=value_range,
        batch_size=batch_size,
        dropout_seed=dropout_seed,
        arithmetic=arithmetic,
        incremental=incremental,
    )
    if order == "random":
        count = repeats if orders_per_image is None else orders_per_image
        ranking = Ranking.at_random(grid, ids, count, repeats, seed)
    elif heatmaps is None:
        raise InputError("heatmaps are needed for the orders morf and lerf")
    else:
        ranking = Ranking.of_heatmaps(grid, heatmaps, order, ids, seed)
    rankings = {"": ranking}
    return ranked_curves(model, images, rankings, targets, settings, ids, progress)[""]


def ranked_curves(
    model: nn.Module,
    images: Tensor,
    rankings: Mapping[str, Ranking],
    targets: Tensor | NDArray[np.integer] | None,
    settings: Settings,
    image_ids: Sequence[str],
    progress: Progress = silent,
) -> dict[str, Curves]:
    """The curves of several rankings of the same images, which share what they can.

    That is the images and their noise on the device, the unperturbed pass, and the activations that
    incremental inference starts from. The curves of a ranking do not depend on the others.

    ``rankings`` are by any name; the other parameters, and errors, are those of
    :func:`perturbation_curves`.
    """
    chosen = targets_or_predictions(model, images, targets).numpy()
    results = {name: _nothing(r, settings) for name, r in rankings.items()}
    with (
        torch.inference_mode(),
        evaluating(model),
        computing_in(settings.arithmetic, device_of(model)),
        Noise(model, images, image_ids, settings) as noise,
    ):
        count = len(images) * settings.repeats
        runners = Runners(model, images[:1].to(device_of(model)), settings, count)
        start = 0
        while start < len(images):
            part = slice(start, min(start + runners.current.images_at_once, len(images)))
            try:
                group = _Group(model, images, chosen, image_ids, part, settings, noise)
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


def _nothing(ranking: Ranking, settings: Settings) -> NDArray[np.float32]:
    """(2, N, T, L + 1) of NaN."""
    images, orders = ranking.orders.shape[:2]
    shape = (2, images, max(orders, settings.repeats), settings.steps + 1)
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
        settings: Settings,
        noise: Noise,
    ) -> None:
        self._start, self._settings = part.start, settings
        self._targets, self._count = targets[part], part.stop - part.start
        self._ids = tuple(ids[part])
        pixels = images[part].to(device_of(model)).permute(0, 2, 3, 1)
        # A copy in any case: a model may change its input.
        pixels = pixels.clone(memory_format=torch.contiguous_format)
        self._images = Images(pixels, noise(part), self._ids)

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
                values = runners.current.run(self._images, shared, few, self._settings.steps)
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
            noise=rows * self._settings.repeats + trajectory % self._settings.repeats,
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


def _as_heatmaps(
    heatmaps: Tensor | NDArray[np.floating], expected: tuple[int, ...]
) -> NDArray[np.floating]:
    maps = np.asarray(heatmaps.detach().float().cpu() if isinstance(heatmaps, Tensor) else heatmaps)
    if maps.shape != expected:
        raise InputError(
            f"heatmaps must have shape {expected}, one value a pixel; got {maps.shape}"
        )
    return maps
