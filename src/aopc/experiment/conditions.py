"""Curves of explainers under a condition: the same images and noise, some choices made differently."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aopc.base.progress import Progress, silent
from aopc.engine.curves import perturbation_curves
from aopc.experiment.explaining import explained
from aopc.experiment.subject import Subject
from aopc.perturbation.curves import Curves, CurvesByOrder
from aopc.perturbation.order import RANDOM, Order, Ranking
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.spatial_control import at_random_places


def curves_under(
    protocol: Protocol,
    subject: Subject,
    rows: slice,
    explainers: Sequence[str],
    maps: Mapping[str, NDArray[np.floating]],
    progress: Progress = silent,
) -> dict[str, CurvesByOrder]:
    """The curves of several explainers on the images ``rows``; those of one do not depend on the others.

    ``protocol`` is the condition's (:meth:`aopc.perturbation.protocol.Condition.of`). ``maps`` are (n, H, W) by explainer;
    they are not looked at for the random baseline, nor with dropout active, where the heatmaps are of the thinned
    networks, too.
    """
    images, ids = subject.pixels(rows), subject.ids[rows]
    grid = Grid(images.shape[2], images.shape[3], protocol.region_size)
    dropout_seed = protocol.seed if protocol.dropout else None
    if dropout_seed is not None:
        mapped = [e for e in explainers if e != RANDOM]
        maps = explained(subject, rows, mapped, dropout_seed=dropout_seed)
    rankings: dict[str, Ranking] = {}
    keys: dict[tuple[str, Order], list[str]] = {}
    for explainer in explainers:
        for order in protocol.orders_of(explainer):
            found = _rankings(protocol, grid, order, maps.get(explainer), ids)
            keys[explainer, order] = [f"{order} {explainer} {i}" for i in range(len(found))]
            rankings |= zip(keys[explainer, order], found, strict=True)
    curves = perturbation_curves(
        subject.network.model,
        images,
        rankings,
        subject.targets[rows],
        protocol=protocol,
        partition=grid,
        value_range=subject.network.preprocessing.value_range,
        image_ids=ids,
        batch_size=subject.batch_size,
        dropout_seed=dropout_seed,
        progress=progress,
    )
    result: dict[str, CurvesByOrder] = {explainer: {} for explainer in explainers}
    for (explainer, order), names in keys.items():
        result[explainer][order] = Curves.of_trajectories([curves[n] for n in names])
    return result


def _rankings(
    protocol: Protocol,
    grid: Grid,
    order: Order,
    maps: NDArray[np.floating] | None,
    ids: Sequence[str],
) -> list[Ranking]:
    """One, or one a random place."""
    repeats, seed = protocol.repeats, protocol.seed
    if order == "random":
        return [Ranking.at_random(grid, ids, protocol.random_orders or repeats, repeats, seed)]
    assert maps is not None
    if not protocol.places:
        return [Ranking.of_heatmaps(grid, maps, order, ids, seed)]
    finite = np.isfinite(maps).all(axis=(1, 2))
    found = []
    for number in range(protocol.places):
        shown = at_random_places(np.nan_to_num(maps), grid, ids, number=number, seed=seed)
        shown[~finite] = np.nan
        found.append(Ranking.of_heatmaps(grid, shown, order, ids, seed))
    return found
