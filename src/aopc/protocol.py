"""The paper's experiment on one set of images, and its result files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.explainers import RANDOM
from aopc.models.inference import as_images
from aopc.perturbation.arithmetic import ARITHMETICS, Arithmetic
from aopc.perturbation.engine import Curves, Ranking, ranked_curves
from aopc.perturbation.regions import Grid, Order
from aopc.perturbation.removal import ValueRange
from aopc.perturbation.settings import Settings
from aopc.progress import Progress, silent
from aopc.registry import nearest
from aopc.tables import concatenated, read_table, write_table

#: The curves of one explainer by order.
CurvesByOrder = dict[Order, Curves]


@dataclass(frozen=True)
class Protocol:
    """The settings of region perturbation; see :func:`aopc.perturbation_curves`.

    Attributes
    ----------
    orders
        Which orders a heatmap is judged by; MoRF is needed for AOPC, LeRF too for ABPC.
    random_orders
        How many random orders the baseline averages for each image.
    arithmetic
        In what the network computes (:mod:`aopc.perturbation.arithmetic`).
    """

    region_size: int
    steps: int
    repeats: int
    random_orders: int
    removal: str
    seed: int
    orders: tuple[Order, ...] = ("morf",)
    arithmetic: Arithmetic = "float32"

    def __post_init__(self) -> None:
        if "morf" not in self.orders or not set(self.orders) <= {"morf", "lerf"}:
            raise InputError(
                f"the orders of heatmaps must be morf, or morf and lerf; got {', '.join(self.orders) or 'none'}"
            )

        if self.region_size < 1:
            raise InputError(f"the region size must be at least 1; got {self.region_size}")
        if self.repeats < 1 or self.random_orders < 1:
            raise InputError("the numbers of repeats and of random orders must be at least 1")
        if self.arithmetic not in ARITHMETICS:
            raise InputError(
                f"unknown arithmetic {self.arithmetic!r}: {nearest(self.arithmetic, ARITHMETICS)}"
            )

    def orders_of(self, explainer: str) -> tuple[Order, ...]:
        """The orders to compute for an explainer: the baseline has random ones only."""
        return ("random",) if explainer == RANDOM else self.orders

    def as_parameters(self) -> dict[str, Any]:
        return asdict(self)


def curves_of(
    heatmaps: Mapping[str, NDArray[np.float32] | None],
    model: nn.Module,
    images: Tensor,
    targets: NDArray[np.int64],
    image_ids: Sequence[str],
    protocol: Protocol,
    value_range: ValueRange,
    progress: Progress = silent,
    batch_size: int | None = None,
) -> dict[str, CurvesByOrder]:
    """The curves of several explainers on the same images, which share what they can.

    ``heatmaps`` (N, H, W) are by explainer; those of the random baseline are not looked at. The
    curves of an explainer do not depend on the others.
    """
    images = as_images(images, model)
    grid = Grid(images.shape[2], images.shape[3], protocol.region_size)
    rankings: dict[str, Ranking] = {}
    keys: dict[str, tuple[str, Order]] = {}
    for explainer, maps in heatmaps.items():
        for order in protocol.orders_of(explainer):
            key = f"{order} {explainer}"
            keys[key] = (explainer, order)
            if order == "random":
                rankings[key] = Ranking.at_random(
                    grid, image_ids, protocol.random_orders, protocol.repeats, protocol.seed
                )
            else:
                assert maps is not None
                rankings[key] = Ranking.of_heatmaps(grid, maps, order, image_ids, protocol.seed)
    settings = Settings(
        grid=grid,
        steps=protocol.steps,
        repeats=protocol.repeats,
        removal=protocol.removal,
        seed=protocol.seed,
        value_range=value_range,
        batch_size=batch_size,
        arithmetic=protocol.arithmetic,
    )
    found = ranked_curves(model, images, rankings, targets, settings, image_ids, progress)
    curves: dict[str, CurvesByOrder] = {explainer: {} for explainer in heatmaps}
    for key, (explainer, order) in keys.items():
        curves[explainer][order] = found[key]
    return curves


def write_curves(path: Path, curves: CurvesByOrder, origin: Mapping[str, Any]) -> None:
    """Write curves as a tidy table, one row an order × image × trajectory.

    Columns: order, image, target, trajectory, logits and probabilities (lists of L + 1 float32).
    """
    parts = [_curve_columns(order, c) for order, c in curves.items()]
    write_table(path, concatenated(parts), origin)


def _curve_columns(order: Order, curves: Curves) -> dict[str, NDArray[Any]]:
    images, trajectories, points = curves.logits.shape
    return {
        "order": np.full(images * trajectories, order, dtype=object),
        "image": np.repeat(np.array(curves.image_ids, dtype=object), trajectories),
        "target": np.repeat(curves.targets, trajectories),
        "trajectory": np.tile(np.arange(trajectories), images),
        "logits": curves.logits.reshape(-1, points),
        "probabilities": curves.probabilities.reshape(-1, points),
    }


def read_curves(*paths: Path) -> CurvesByOrder:
    """Read what :func:`write_curves` wrote; several files are the parts of one set of images."""
    table = concatenated([read_table(path) for path in paths])
    curves: CurvesByOrder = {}
    for order in dict.fromkeys(table["order"].tolist()):
        rows = table["order"] == order
        trajectories = int(table["trajectory"][rows].max()) + 1
        shape = (-1, trajectories, table["logits"].shape[1])
        curves[order] = Curves(
            logits=table["logits"][rows].reshape(shape),
            probabilities=table["probabilities"][rows].reshape(shape),
            targets=table["target"][rows][::trajectories],
            image_ids=tuple(table["image"][rows][::trajectories].tolist()),
        )
    return curves


def read_mean_curves(*paths: Path) -> CurvesByOrder:
    """As :func:`read_curves`, each image's trajectories averaged in float64, part by part.

    AOPC and ABPC are the same for it, and it takes a small part of the memory.
    """
    parts = [{order: _averaged(c) for order, c in read_curves(path).items()} for path in paths]
    return {
        order: Curves(
            logits=np.concatenate([p[order].logits for p in parts]),
            probabilities=np.concatenate([p[order].probabilities for p in parts]),
            targets=np.concatenate([p[order].targets for p in parts]),
            image_ids=tuple(i for p in parts for i in p[order].image_ids),
        )
        for order in parts[0]
    }


def _averaged(curves: Curves) -> Curves:
    return replace(
        curves,
        logits=curves.logits.mean(axis=1, keepdims=True, dtype=np.float64),
        probabilities=curves.probabilities.mean(axis=1, keepdims=True, dtype=np.float64),
    )
