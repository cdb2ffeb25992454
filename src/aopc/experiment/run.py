"""The loop: a part of the images → what is wanted of it → compute → keep → join.

It serves ``aopc evaluate``, Python and the pipeline, and knows nothing of networks and explainers: a
:class:`Work` says what is computed, an executor where.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aopc.base.files import join_arrays, join_tables, write_array, write_table
from aopc.base.parts import parts
from aopc.base.progress import Progress, progress_bar
from aopc.experiment.executors import Executor
from aopc.experiment.executors.local import Local
from aopc.perturbation.protocol import MAIN


@dataclass(frozen=True)
class Unit:
    """What is stored by itself: the results of one explainer under one condition."""

    explainer: str
    condition: str = MAIN


#: File name → an array (``.npy``) or the columns of a table (``.parquet``), one row or more an image.
Products = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """Some images, and which units are to be computed on them."""

    rows: slice
    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        return f"{self.rows.start:06d}"


class Work(Protocol):
    """What is to be computed: ``units`` on the images ``ids`` in their order, ``part_images`` in memory at once.

    ``name`` is for the progress bar, for which each image counts ``rounds`` times.
    """

    @property
    def name(self) -> str: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def units(self) -> Sequence[Unit]: ...
    @property
    def part_images(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    def identity(self, unit: Unit) -> str:
        """A hash of all that determines a unit's results."""

    def compute(self, task: Task, progress: Progress) -> Mapping[Unit, Products]:
        """The products of the task's units; tells the progress of images × rounds."""


class Done:
    """The parts that are there, by unit, in the order of the images."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.folders: dict[Unit, list[Path]] = {unit: [] for unit in units}
        self.images = 0

    def join(self, unit: Unit, name: str, path: Path, origin: Mapping[str, Any]) -> None:
        """Write one of a unit's products as a whole."""
        files = [folder / name for folder in self.folders[unit]]
        if path.suffix == ".npy":
            join_arrays(path, files, origin)
        else:
            join_tables(path, files, origin)


@contextmanager
def run(
    work: Work,
    cache: Path,
    *,
    units: Sequence[Unit] | None = None,
    executor: Executor | None = None,
    until: Callable[[Done], bool] | None = None,
) -> Iterator[Done]:
    """All parts of the work, which lie in ``cache`` and are removed behind the context.

    After a kill a second call goes on where the first one was. Another process with the same work waits. ``units`` are
    those that are wanted (None: all of the work's); ``executor`` says where to compute (None: in this process); ``until`` is asked after each part whether to stop.
    """
    units = tuple(dict.fromkeys(work.units if units is None else units))
    with ExitStack() as stack:
        # In one order for all processes, so that no two wait for each other.
        identities = {u: work.identity(u) for u in units}
        store = {u: stack.enter_context(parts(cache, identities[u])) for u in sorted(units, key=identities.__getitem__)}
        progress = stack.enter_context(progress_bar(work.rounds * len(work.ids), work.name))
        tasks = [Task(rows, units) for rows in slices(len(work.ids), work.part_images)]
        wanted = (Task(t.rows, tuple(u for u in units if t.name not in store[u])) for t in tasks)
        compute = partial(_computed, work, progress)
        done = Done(units)
        for task, products in zip(tasks, (executor or Local()).map(compute, wanted), strict=True):
            for unit in units:
                write = partial(_write, products.get(unit, {}))
                done.folders[unit].append(store[unit](task.name, write))
            done.images = task.rows.stop
            if until is not None and until(done):
                break
        yield done


def _computed(work: Work, progress: Progress, task: Task) -> Mapping[Unit, Products]:
    if not task.units:
        progress(work.rounds * (task.rows.stop - task.rows.start))
        return {}
    return work.compute(task, progress)


def _write(products: Products, folder: Path) -> None:
    for name, content in products.items():
        if name.endswith(".npy"):
            write_array(folder / name, content, durable=False)
        else:
            write_table(folder / name, content, {}, durable=False)


def slices(count: int, size: int) -> list[slice]:
    """Slices of at most ``size`` that cover 0 … ``count`` − 1."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
