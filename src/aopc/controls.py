"""The experiment under other choices than the paper's, and the controls that it lacks.

Every condition judges the same heatmaps on the same images under the same noise as the main
experiment (:mod:`aopc.protocol`), except where the condition says otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.explainers import RANDOM, heatmaps
from aopc.perturbation.engine import Curves, perturbation_curves
from aopc.perturbation.regions import Grid, trajectories_at_random
from aopc.perturbation.removal import REMOVALS, ValueRange
from aopc.perturbation.surrogates import spatial_surrogates
from aopc.progress import Progress, silent
from aopc.protocol import Protocol
from aopc.registry import nearest

#: Least relevant first, for ABPC (journal version).
LERF = "lerf"
#: Heatmaps and curves of the network with dropout active (claim C6).
DROPOUT = "dropout"
#: Each heatmap at a random place (:mod:`aopc.perturbation.surrogates`).
SPATIAL = "spatial"
#: The main experiment's own choices, for explainers that it does not have.
MORF = "morf"


@dataclass(frozen=True)
class Controls:
    """What is compared, on how many images.

    Attributes
    ----------
    images
        Of each panel, drawn at random.
    repeats, random_orders
        As in :class:`Protocol`.
    removals
        Names of :data:`REMOVALS` (journal version), or dotted paths.
    lerf, dropout
        Whether to run these conditions; a network without dropout layers has no second one.
    surrogates
        How many random places each heatmap is shown at; 0: no spatial control.
    explainers
        Further ones, judged beside the panel's.
    """

    images: int
    repeats: int
    random_orders: int
    removals: tuple[str, ...]
    lerf: bool
    dropout: bool
    surrogates: int
    explainers: tuple[str, ...]

    def __post_init__(self) -> None:
        if min(self.images, self.repeats, self.random_orders) < 1 or self.surrogates < 0:
            raise InputError(
                "params.yaml: controls needs images, repeats and random_orders of 1 or more, and"
                " surrogates of 0 or more"
            )
        for name in self.removals:
            if name not in REMOVALS and ":" not in name:
                raise InputError(f"unknown removal {name!r}: {nearest(name, REMOVALS)}")

    def conditions(self, explainers: Sequence[str], protocol: Protocol) -> dict[str, list[str]]:
        """Condition → the explainers that are judged under it."""
        maps = [e for e in explainers if e != RANDOM]
        further = [e for e in self.explainers if e not in explainers]
        found: dict[str, list[str]] = {}
        if further:
            found[MORF] = further
        if self.lerf:
            found[LERF] = [*maps, *further]
        for removal in self.removals:
            if removal != protocol.removal:
                found[removal] = [*maps, RANDOM]
        if self.dropout:
            found[DROPOUT] = [*maps, RANDOM]
        if self.surrogates:
            found[SPATIAL] = maps
        return found

    def trajectories(self, explainers: Sequence[str], protocol: Protocol) -> int:
        """How many curves an image has under all conditions together."""
        random = trajectories_at_random(max(self.random_orders, self.repeats), self.repeats)
        return sum(
            random if e == RANDOM else self.repeats * (self.surrogates if c == SPATIAL else 1)
            for c, names in self.conditions(explainers, protocol).items()
            for e in names
        )


def control_curves(
    condition: str,
    explainer: str,
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.float32] | None,
    targets: NDArray[np.int64],
    image_ids: Sequence[str],
    protocol: Protocol,
    controls: Controls,
    value_range: ValueRange,
    progress: Progress = silent,
) -> Curves:
    """The curves of one explainer under one condition.

    Parameters
    ----------
    condition, explainer
        A key of :meth:`Controls.conditions`, and one of its explainers.
    model, images, targets, image_ids, value_range, progress
        As of :func:`aopc.perturbation_curves`.
    maps
        (N, H, W): the explainer's heatmaps without dropout; not needed for random order and under
        dropout; None: computed here.
    protocol, controls
        Settings of the main experiment, and of this one.

    Raises
    ------
    InputError
        As of :func:`aopc.perturbation_curves` and :func:`aopc.heatmaps`.
    """
    dropout_seed = protocol.seed if condition == DROPOUT else None
    random = explainer == RANDOM
    if not random and (maps is None or dropout_seed is not None):
        maps = heatmaps(
            model,
            images,
            explainer,
            targets,
            image_ids=image_ids,
            allow_nonfinite=True,
            dropout_seed=dropout_seed,
        )
    own = (LERF, DROPOUT, SPATIAL, MORF)

    def curves(shown: NDArray[np.float32] | None, tell: Progress) -> Curves:
        return perturbation_curves(
            model,
            images,
            None if random else shown,
            targets,
            region_size=protocol.region_size,
            steps=protocol.steps,
            repeats=controls.repeats,
            order="random" if random else "lerf" if condition == LERF else "morf",
            removal=protocol.removal if condition in own else condition,
            seed=protocol.seed,
            orders_per_image=controls.random_orders,
            value_range=value_range,
            image_ids=image_ids,
            dropout_seed=dropout_seed,
            arithmetic=protocol.arithmetic,
            progress=tell,
        )

    if condition != SPATIAL:
        return curves(maps, progress)
    assert maps is not None
    grid = Grid(images.shape[2], images.shape[3], protocol.region_size)
    finite = np.isfinite(maps).all(axis=(1, 2))
    parts = []
    for number in range(controls.surrogates):
        shown = spatial_surrogates(
            np.nan_to_num(maps), grid, image_ids, number=number, seed=protocol.seed
        )
        shown[~finite] = np.nan
        parts.append(curves(shown, lambda done: progress(done / controls.surrogates)))
    return replace(
        parts[0],
        logits=np.concatenate([p.logits for p in parts], axis=1),
        probabilities=np.concatenate([p.probabilities for p in parts], axis=1),
    )
