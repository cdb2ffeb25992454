"""Which runner computes a network's trajectories, and what happens where it cannot."""

import logging

import numpy as np
import torch
from torch import Tensor, nn

from aopc.base.machine import is_out_of_memory
from aopc.engine.batches import MACS_PER_BYTE, full_batch, trajectory_batch, work_of
from aopc.engine.full import FullRunner
from aopc.engine.incremental.plan import Plan, plan_network
from aopc.engine.incremental.run import IncrementalRunner
from aopc.engine.incremental.trace import UntraceableError
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Runner, Trajectories, target_scores
from aopc.perturbation.partition import Grid
from aopc.perturbation.removal import Imputer

_log = logging.getLogger("aopc")
_said: set[str] = set()

#: Steps that cost more than this share of a full pass are no longer faster than full passes.
WORTHWHILE = 0.8

#: How far incremental and full scores may be apart: such a share of how far the score moved, and of the largest
#: score, for rounding, by the arithmetic of the scores.
_OF_THE_CHANGE = 1e-2
_ROUNDING = {torch.float64: 1e-9, torch.float32: 3e-5, torch.bfloat16: 3e-2}
_ROUNDING_TF32 = 5e-3


def say_once(message: str) -> None:
    """A line to the log ``aopc`` (standard error, unless set up otherwise), once a process."""
    if message not in _said:
        _said.add(message)
        _log.warning("aopc: %s", message)


def _say_full(reason: str) -> None:
    say_once(f"full forward passes are used for this network: {reason}")


class Runners:
    """The runner for a network: incremental where the network allows it and it pays, else full.

    Parameters
    ----------
    model, image
        In evaluation mode; (1, C, H, W), on its device.
    count
        Trajectories of one ranking in all: with few of them full passes can be faster.

    Attributes
    ----------
    plan
        Of the incremental runner; None: full passes.
    current
        The runner to use now.
    """

    def __init__(self, model: nn.Module, image: Tensor, setup: Setup, count: int) -> None:
        self._model, self._setup = model, setup
        self._trajectories = 1
        self._checked = False
        plan = self._planned(image, count)
        given = setup.batch_size
        self._batch = given or full_batch(model, plan.work if plan else work_of(model, image))
        self._dense_batch = given or (full_batch(model, plan.dense_work) if plan else 1)
        self.plan = plan if plan and self._pays(plan, image, count) else None
        self.current = self._runner()

    def _planned(self, image: Tensor, count: int) -> Plan | None:
        setup, grid = self._setup, self._setup.partition
        # Windows are planned on a grid, and what sees the whole mask may change more than a window.
        if not setup.incremental or not isinstance(grid, Grid) or isinstance(setup.removal, Imputer):
            return None
        image, dropout = image.contiguous(memory_format=torch.channels_last), setup.dropout_seed is not None
        try:
            return plan_network(self._model, image, grid, count, dropout=dropout)
        except UntraceableError as error:
            _say_full(str(error))
        except (RuntimeError, TypeError, ValueError) as error:
            # If the network itself is at fault, full passes say so.
            _say_full(f"no plan for it ({(str(error).splitlines() or [type(error).__name__])[0]})")
        return None

    def _pays(self, plan: Plan, image: Tensor, count: int) -> bool:
        if not plan.handed_over or plan.ratio > WORTHWHILE:
            _say_full(
                "a region changes most of what it computes, or it starts with a layer that incremental inference"
                " does not know"
            )
            return False
        kept = plan.values * image.element_size()
        self._trajectories = self._setup.batch_size or trajectory_batch(self._model, kept)
        reading = MACS_PER_BYTE * plan.work.weights
        step = plan.step_macs + reading / min(count, self._trajectories)
        full = plan.work.macs + reading / min(count * self._setup.steps, self._batch)
        return step < WORTHWHILE * full

    def _runner(self) -> Runner:
        if self.plan is None:
            return FullRunner(self._model, self._setup, self._batch)
        sizes = self._trajectories, self._batch, self._dense_batch
        return IncrementalRunner(self._model, self.plan, self._setup, *sizes)

    def shrink(self, error: BaseException) -> None:
        """Go on with half the batch after memory ran out; raise the error if it is another one, or the batch cannot
        be smaller.
        """
        sizes = self._batch, self._dense_batch, self._trajectories
        if not is_out_of_memory(error) or max(sizes) == 1:
            raise error
        self._batch, self._dense_batch, self._trajectories = (max(1, n // 2) for n in sizes)
        # What held the memory must be gone before the next try.
        del self.current
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say_once(f"memory ran out; going on with batches of {self._batch}")
        self.current = self._runner()

    def agrees(self, images: Images, trajectories: Trajectories, results: Tensor, whole: Tensor) -> bool:
        """Whether the first incremental results are those of full passes.

        It is checked once a network, on two trajectories, one after a third of the steps and one at the end; if it is
        not so, full passes are used from then on, and the results are to be computed again. ``whole`` (2, B) are the
        scores of the unperturbed images.
        """
        if self._checked or not isinstance(self.current, IncrementalRunner):
            return True
        self._checked = True
        two = trajectories[:2] if len(trajectories) > 1 else trajectories[[0, 0]]
        steps = np.array([self._setup.steps, max(1, self._setup.steps // 3)])
        scores = self.current.perturbed(images, two, steps)
        expected = target_scores(scores, torch.from_numpy(two.target).to(scores.device))[0]
        if not bool(torch.isfinite(scores).all()):
            return True  # the engine will say so
        rows = torch.tensor([0, min(1, len(trajectories) - 1)], device=scores.device)
        found = results[0, rows, torch.from_numpy(steps - 1).to(scores.device)]
        moved = (expected - whole[0, rows]).abs().max()
        tf32 = scores.is_cuda and torch.backends.cuda.matmul.fp32_precision == "tf32"
        rounding = _ROUNDING_TF32 if tf32 else _ROUNDING.get(scores.dtype, 3e-2)
        off = float((found - expected).abs().max())
        if off <= _OF_THE_CHANGE * float(moved) + rounding * float(scores.abs().max()):
            return True
        _say_full(f"computed incrementally, its scores were {off:.2g} off")
        self.plan = None
        self.current = self._runner()
        return False
