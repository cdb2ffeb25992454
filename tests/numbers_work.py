"""A work of the loop that takes no time: two explainers under two conditions on seven images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aopc.base.progress import Progress
from aopc.experiment.run import Products, Task, Unit

UNITS = tuple(Unit(e, c) for c in ("morf", "mean") for e in ("a", "b"))
VALUES, TABLE = "values.npy", "table.parquet"


def nothing(task: Task) -> None:
    """Computing goes well."""


@dataclass
class Numbers:
    """A :class:`aopc.experiment.run.Work`; ``before`` is called with each task, and may fail."""

    units: Sequence[Unit] = UNITS
    before: Callable[[Task], object] = nothing
    count: int = 7
    part_images: int = 3
    rounds: int = 2
    name: str = "numbers"
    #: What is in the identity beside the unit.
    version: str = "1"
    #: (first image, unit) in the order of work.
    computed: list[tuple[int, Unit]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [f"image {i}" for i in range(self.count)]

    def identity(self, unit: Unit) -> str:
        return f"{self.version}-{unit.condition}-{unit.explainer}"

    def compute(self, task: Task, progress: Progress) -> Mapping[Unit, Products]:
        self.before(task)
        images = np.arange(self.count)[task.rows]
        found = {}
        for unit in task.units:
            self.computed.append((task.rows.start, unit))
            values = (images * 10 + UNITS.index(unit)).astype(np.float32)
            table = {"image": np.array(self.ids[task.rows], dtype=object), "value": values}
            found[unit] = {VALUES: values[:, None], TABLE: table}
        progress(self.rounds * len(images))
        return found


def expected(unit: Unit, count: int = 7) -> list[float]:
    """The unit's values on all images."""
    return [10.0 * i + UNITS.index(unit) for i in range(count)]
