"""Region perturbation: the curves f(x⁽ᵏ⁾) of a classifier while regions are removed one by one.

Samek et al., section III, equations 8 to 10.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise

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
    logits_of,
    targets_or_predictions,
)
from aopc.perturbation.regions import (
    ORDERS,
    Grid,
    Order,
    heatmap_orders,
    random_orders,
    ranks_of,
)
from aopc.perturbation.removal import REMOVALS, Removal, ValueRange
from aopc.progress import Progress, silent
from aopc.registry import nearest, resolve
from aopc.streams import Stream


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
        """How many images the model saw for these curves: one whole image, then every step."""
        steps = self.logits[np.isfinite(self.logits[:, 0, 0]), :, 1:]
        return len(steps) + steps.size


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
    progress: Progress = silent,
) -> Curves:
    """Remove regions in the order of the heatmaps and record the target's score at each step.

    The curves depend on the model, the images, their ids, the heatmaps and the settings, but not
    on the batch size or on which images are computed together. Each heatmap of an image is judged
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
        Images a forward pass; None: chosen by image size and device.
    dropout_seed
        Perturb the images before the network with its dropout layers active, as in training, with
        masks keyed by this seed and the image's id, so that an image meets one and the same thinned
        network at every step and under every explainer; None: they are off.
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
    if repeats < 1 or (orders_per_image is not None and orders_per_image < 1):
        raise InputError("repeats and orders_per_image must be at least 1")
    if order not in ORDERS:
        raise InputError(f"unknown order {order!r}: {nearest(order, ORDERS)}")
    ids = tuple(map(str, range(len(images)) if image_ids is None else image_ids))
    if len(ids) != len(images) or len(set(ids)) != len(ids):
        raise InputError(f"image_ids must be {len(images)} different names; got {len(set(ids))}")
    grid = Grid(images.shape[2], images.shape[3], region_size)
    grid.check_steps(steps)
    chosen = targets_or_predictions(model, images, targets)

    if order == "random":
        wanted = repeats if orders_per_image is None else orders_per_image
        # A multiple of the repeats, so that each noise counts alike, as it does for a heatmap.
        count = wanted if wanted < repeats else -(-wanted // repeats) * repeats
        orders = random_orders(grid, ids, count, seed)
        usable = np.ones(len(images), dtype=bool)
    else:
        maps = _as_heatmaps(heatmaps, images)
        usable = np.isfinite(maps).all(axis=(1, 2))
        orders = heatmap_orders(grid, np.nan_to_num(maps), order, ids, seed)[:, None]
    ranks = ranks_of(orders)

    trajectories = max(orders.shape[1], repeats)
    logits = np.full((len(images), trajectories, steps + 1), np.nan, dtype=np.float32)
    probabilities = logits.copy()
    replace: Removal = (
        resolve("removal", REMOVALS, removal) if isinstance(removal, str) else removal
    )
    values = value_range or _value_range_of(images)
    size = batch_size or default_batch_size(model, tuple(images.shape[1:]))
    pixel_ranks = _PixelRanks(grid, device_of(model))
    layout = _Layout()

    with torch.inference_mode(), evaluating(model):
        for i in range(len(images)):
            if not usable[i]:
                progress(1)
                continue
            image = images[i].float().cpu().numpy()
            scorer = _Scorer(layout, model, images[i], int(chosen[i]), ids[i])
            noises = [
                _on_device(
                    replace(image, values, Stream(seed, "noise", ids[i], r)), images[i], model
                )
                for r in range(repeats)
            ]
            dropping = (
                nullcontext()
                if dropout_seed is None
                else active_dropout(model, [ids[i]], dropout_seed)
            )
            with dropping:
                logits[i, :, 0], probabilities[i, :, 0] = scorer.unperturbed()
                for group in _groups(trajectories, max(1, size // steps)):
                    noise = torch.stack([noises[t % repeats] for t in group])
                    rank = torch.stack([pixel_ranks(ranks[i, t % orders.shape[1]]) for t in group])
                    for first, last in _chunks(steps, size):
                        f, p = scorer.perturbed(noise, rank, first, last)
                        logits[i, group, first : last + 1] = f
                        probabilities[i, group, first : last + 1] = p
            progress(1)
    return Curves(logits, probabilities, chosen.numpy(), ids)


class _Scorer:
    """Scores perturbed versions of one image, built on the model's device, pixels last."""

    def __init__(
        self, layout: "_Layout", model: nn.Module, image: Tensor, target: int, name: str
    ) -> None:
        self._layout = layout
        self._model = model
        self._image = image.to(device_of(model)).permute(1, 2, 0).contiguous()
        self._target = target
        self._name = name

    def unperturbed(self) -> tuple[float, float]:
        f, p = self._score(self._image[None], first_step=0)
        return float(f[0]), float(p[0])

    def perturbed(
        self, noise: Tensor, rank: Tensor, first: int, last: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (G, last − first + 1) at steps ``first`` to ``last`` of G trajectories.

        ``noise`` (G, H, W, C) holds the replacement images, ``rank`` (G, H, W) the ranks of the
        pixels' regions.
        """
        steps = torch.arange(first, last + 1, device=rank.device, dtype=rank.dtype)
        removed = rank[:, None] < steps[None, :, None, None]
        batch = torch.where(removed[..., None], noise[:, None], self._image).flatten(0, 1)
        f, p = self._score(batch, first_step=first)
        return f.reshape(removed.shape[:2]), p.reshape(removed.shape[:2])

    def _score(
        self, batch: Tensor, first_step: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scores = self._layout.scores(self._model, batch.permute(0, 3, 1, 2)).float()
        if not 0 <= self._target < scores.shape[1]:
            raise InputError(
                f"the target of image {self._name} is class {self._target}, but the model has"
                f" {scores.shape[1]} classes"
            )
        target = torch.stack([scores, scores.softmax(dim=1)])[:, :, self._target].cpu().numpy()
        if not np.isfinite(target).all():
            raise InputError(
                f"the model's output is NaN or infinite for image {self._name}, at or after step"
                f" {first_step}: check the weights, the preprocessing and the value range"
            )
        return target[0], target[1]


class _Layout:
    """Feeds batches with the channels last, which is faster, unless the model cannot take them.

    A model that flattens with ``view`` fails on them, and gets ordinary batches from then on.
    """

    def __init__(self) -> None:
        self._channels_last = True

    def scores(self, model: nn.Module, batch: Tensor) -> Tensor:
        if self._channels_last:
            try:
                return logits_of(model, batch)
            except RuntimeError as error:
                if "view size is not compatible" not in str(error):
                    raise
                self._channels_last = False
        return logits_of(model, batch.contiguous())


class _PixelRanks:
    """Spreads a region's rank over its pixels, on the device."""

    def __init__(self, grid: Grid, device: torch.device) -> None:
        self._region = torch.from_numpy(grid.region_of_pixel).to(device)

    def __call__(self, ranks: NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(ranks).to(self._region.device)[self._region]


def _on_device(replacement: NDArray[np.float32], like: Tensor, model: nn.Module) -> Tensor:
    """A replacement image (C, H, W) as (H, W, C), where and as the model takes images."""
    if replacement.shape != tuple(like.shape):
        raise InputError(
            f"the removal must return an image of shape {tuple(like.shape)};"
            f" it returned {replacement.shape}"
        )
    tensor = torch.from_numpy(replacement).to(device_of(model), like.dtype)
    return tensor.permute(1, 2, 0).contiguous()


def _groups(count: int, size: int) -> Iterator[list[int]]:
    for start in range(0, count, size):
        yield list(range(start, min(start + size, count)))


def _chunks(steps: int, size: int) -> Iterator[tuple[int, int]]:
    """Steps 1 … ``steps`` in runs of nearly equal length, at most ``size``: (first, last)."""
    bounds = np.linspace(0, steps, -(-steps // size) + 1).round().astype(int)
    for start, stop in pairwise(bounds):
        yield int(start) + 1, int(stop)


def _as_heatmaps(
    heatmaps: Tensor | NDArray[np.floating] | None, images: Tensor
) -> NDArray[np.floating]:
    expected = (images.shape[0], *images.shape[2:])
    if heatmaps is None:
        raise InputError("heatmaps are needed for the orders morf and lerf")
    maps = np.asarray(heatmaps.detach().float().cpu() if isinstance(heatmaps, Tensor) else heatmaps)
    if maps.shape != expected:
        raise InputError(
            f"heatmaps must have shape {expected}, one value a pixel; got {maps.shape}"
        )
    return maps


def _value_range_of(images: Tensor) -> ValueRange:
    low, high = images.amin(dim=(0, 2, 3)).tolist(), images.amax(dim=(0, 2, 3)).tolist()
    # A channel with one value only still needs a range of some width.
    return ValueRange(
        tuple(low), tuple(h if h > v else v + 1.0 for v, h in zip(low, high, strict=True))
    )
