"""In which order steps of trajectories are computed incrementally, and where their windows lie."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aopc.engine.incremental.plan import Plan, Store


class Schedule:
    """In which order steps of trajectories are computed.

    All trajectories whose next region belongs to the same variant go on together; the variant with the most of them
    is next. That order depends on the orders of regions only.

    Parameters
    ----------
    order
        (B, steps): the regions that each trajectory loses.
    variant_of_region
        As of :class:`Plan`.

    Attributes
    ----------
    trajectory, region, step
        (B · steps,) int64, turn by turn.
    batches
        (first, last + 1, variant): turns that are computed together.
    """

    def __init__(self, order: NDArray[np.int64], variant_of_region: NDArray[np.int64]) -> None:
        count, steps = order.shape
        done = np.zeros(count, dtype=np.int64)
        following = variant_of_region[order]
        self.batches: list[tuple[int, int, int]] = []
        turns, first = [], 0
        while first < order.size:
            unfinished = np.flatnonzero(done < steps)
            coming = following[unfinished, done[unfinished]]
            variant = int(np.bincount(coming).argmax())
            chosen = unfinished[coming == variant]
            turns.append(np.stack([chosen, done[chosen]]))
            done[chosen] += 1
            self.batches.append((first, first + len(chosen), variant))
            first += len(chosen)
        self.trajectory, self.step = np.concatenate(turns, axis=1)
        self.region = order[self.trajectory, self.step]


class Places:
    """Where the windows of each turn start in the stores, counted over all trajectories' maps.

    ``reads`` and ``writes`` are (turns,) int64 by read, and by step and store.
    """

    def __init__(self, plan: Plan, trajectory: Tensor, region: Tensor) -> None:
        self._trajectory, self._region = trajectory, region
        steps = [plan.first, *(step for variant in plan.variants for step in variant)]
        reads = [read for step in steps for read in step.reads.values() if read is not None]
        self.reads = {read: self._at(read.store, read.rows, read.columns) for read in reads}
        self.writes = {
            (step, store): self._at(store, step.box.rows.starts, step.box.columns.starts)
            for step in steps
            for store in step.writes
        }

    def _at(self, store: Store, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
        near, device = store.before, self._region.device
        starts = window_starts(rows + near[0], columns + near[1], store.width, device)
        return starts[self._region] + self._trajectory * (store.height * store.width)


def window_starts(rows: NDArray[np.int64], columns: NDArray[np.int64], width: int, device: torch.device) -> Tensor:
    """(R,): the place, counted row by row, at which each region's window starts."""
    return torch.from_numpy((rows[:, None] * width + columns).ravel()).to(device)
