"""Explainers judged on a subject under conditions, as a work of the loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aopc.base.progress import Progress
from aopc.base.provenance import identity_hash, source_hash
from aopc.experiment.conditions import curves_under
from aopc.experiment.explaining import explained
from aopc.experiment.run import Products, Task, Unit
from aopc.experiment.store import COMPLEXITY, CURVES, HEATMAPS, curve_columns
from aopc.experiment.subject import Subject
from aopc.measures.complexity import DEFAULT_RENDERING, complexity_columns
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import MAIN, Condition, Protocol


@dataclass(frozen=True)
class Job:
    """Whom to judge, on what, and under which conditions; a :class:`aopc.experiment.run.Work`.

    Attributes
    ----------
    protocol, conditions
        Of the main experiment, and what differs from it: each with the explainers that are judged under it.
    maps
        Explainer → (N, H, W): heatmaps that are there already, and the hash of their file.
    keep
        Products of the main condition beside curves: heatmaps, and their complexity.
    """

    subject: Subject
    protocol: Protocol
    conditions: Sequence[tuple[Condition, Sequence[str]]]
    part_images: int
    maps: Mapping[str, tuple[NDArray[np.float32], str]] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.label} {self.subject.name}".strip()

    @property
    def ids(self) -> Sequence[str]:
        return self.subject.ids

    @property
    def rounds(self) -> int:
        return len(self.conditions)

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(Unit(e, c.name) for c, names in self.conditions for e in names)

    def protocol_of(self, unit: Unit) -> Protocol:
        """Under the unit's condition."""
        condition = next(c for c, _ in self.conditions if c.name == unit.condition)
        return condition.of(self.protocol)

    def identity(self, unit: Unit) -> str:
        protocol = self.protocol_of(unit)
        used = {
            "explainer": unit.explainer,
            "condition": unit.condition,
            "protocol": protocol.as_parameters(),
            "images": list(self.ids),
            "inputs": list(self.subject.inputs),
            "heatmaps": self.maps[unit.explainer][1] if unit.explainer in self.maps else None,
            "sources": [source_hash(x) for x in (unit.explainer, protocol.removal)],
            "part": self.part_images,
            "batch": self.subject.batch_size,
            "products": self.keep,
        }
        return identity_hash(used, __name__)

    def compute(self, task: Task, progress: Progress) -> Mapping[Unit, Products]:
        maps = self._maps(task)
        found: dict[Unit, dict[str, object]] = {}
        for condition, names in self.conditions:
            wanted = [e for e in names if Unit(e, condition.name) in task.units]
            if not wanted:
                progress(task.rows.stop - task.rows.start)
                continue
            protocol = condition.of(self.protocol)
            curves = curves_under(protocol, self.subject, task.rows, wanted, maps, progress)
            for e in wanted:
                found[Unit(e, condition.name)] = {CURVES: curve_columns(curves[e])}
        for unit, products in found.items():
            if unit.condition == MAIN and self.keep:
                products |= self._kept(unit.explainer, maps[unit.explainer], task.rows)
        return found

    def _maps(self, task: Task) -> dict[str, NDArray[np.float32]]:
        """The heatmaps that the task's units need: those that are there, and others computed now."""
        wanted = dict.fromkeys(
            u.explainer
            for u in task.units
            if (u.explainer != RANDOM or (self.keep and u.condition == MAIN)) and not self.protocol_of(u).dropout
        )
        there = {e: np.asarray(self.maps[e][0][task.rows]) for e in wanted if e in self.maps}
        return there | explained(self.subject, task.rows, [e for e in wanted if e not in there])

    def _kept(self, explainer: str, maps: NDArray[np.float32], rows: slice) -> dict[str, object]:
        found: dict[str, object] = {HEATMAPS: maps}
        if COMPLEXITY in self.keep:
            names = self.ids[rows]
            found[COMPLEXITY] = complexity_columns(explainer, maps, names, DEFAULT_RENDERING)
        return found
