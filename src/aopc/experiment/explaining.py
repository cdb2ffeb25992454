"""Heatmaps of a subject by several explainers, as a work of the loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aopc.base.progress import Progress
from aopc.base.provenance import identity_hash, source_hash
from aopc.experiment.run import Products, Task, Unit
from aopc.experiment.store import HEATMAPS
from aopc.experiment.subject import Subject


def explained(
    subject: Subject, rows: slice, explainers: Sequence[str], *, dropout_seed: int | None = None
) -> dict[str, NDArray[np.float32]]:
    """Heatmaps (n, H, W) by explainer; one that is not finite is NaN all over."""
    if not explainers:
        return {}
    # Not above: the import takes 1.6 s, and most of the pipeline's processes explain nothing.
    from aopc.explainers.run import heatmaps_of

    return heatmaps_of(
        subject.network.model,
        subject.pixels(rows),
        explainers,
        subject.targets[rows],
        image_ids=subject.ids[rows],
        batch_size=subject.batch_size,
        allow_nonfinite=True,
        dropout_seed=dropout_seed,
    )


@dataclass(frozen=True)
class HeatmapWork:
    """Heatmaps only; a :class:`aopc.experiment.run.Work`."""

    subject: Subject
    explainers: Sequence[str]
    part_images: int
    rounds: int = 1

    @property
    def name(self) -> str:
        return f"heatmaps {self.subject.name}"

    @property
    def ids(self) -> Sequence[str]:
        return self.subject.ids

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(Unit(e) for e in self.explainers)

    def identity(self, unit: Unit) -> str:
        used = {
            "explainer": unit.explainer,
            "source": source_hash(unit.explainer),
            "inputs": list(self.subject.inputs),
            "part": self.part_images,
        }
        return identity_hash(used, __name__)

    def compute(self, task: Task, progress: Progress) -> Mapping[Unit, Products]:
        found = explained(self.subject, task.rows, [u.explainer for u in task.units])
        progress(task.rows.stop - task.rows.start)
        return {unit: {HEATMAPS: found[unit.explainer]} for unit in task.units}
