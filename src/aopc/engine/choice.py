"""Which runner computes a network's trajectories, and what happens where it cannot."""

import torch
from torch import Tensor, nn

from aopc.base.machine import is_out_of_memory
from aopc.base.notices import say_once
from aopc.engine.batches import MACS_PER_BYTE, full_batch, trajectory_batch, work_of
from aopc.engine.full import FullRunner
from aopc.engine.incremental.plan import Plan, plan_network
from aopc.engine.incremental.run import IncrementalRunner
from aopc.engine.incremental.trace import UntraceableError
from aopc.engine.incremental.verify import difference
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Layout, Runner
from aopc.models.inference import alone, images_share_a_batch, memory_format_for
from aopc.models.structure import Findings
from aopc.perturbation.partition import Grid
from aopc.perturbation.removal import Imputer

#: Steps that cost more than this share of a full pass are no longer faster than full passes.
WORTHWHILE = 0.8

_verified: Findings[bool] = Findings()


def _say_full(reason: str) -> None:
    say_once(f"full forward passes are used for this network: {reason}")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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
        together = images_share_a_batch(model, image)
        self._format, self._alone = memory_format_for(model, image), alone(model, image)
        plan = self._planned(image, count) if together else None
        given = setup.batch_size if together else 1
        self._batch = given or full_batch(model, plan.work if plan else work_of(model, image))
        self._dense_batch = given or (full_batch(model, plan.dense_work) if plan else 1)
        self.plan = plan if plan and self._pays(plan, image, count) and self._holds(plan, image) else None
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
        except Exception as error:  # if the network itself is at fault, full passes say so
            _say_full(f"no plan for it ({_line(error)})")
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
        if step < WORTHWHILE * full:
            return True
        _say_full("at this size of images and regions, and for so few of them, they cost less than windows")
        return False

    def _holds(self, plan: Plan, image: Tensor) -> bool:
        """Whether windows hold what full passes do, once a network and what it is planned for."""
        setup = self._setup
        planned = plan.grid.size, len(plan.variants), setup.dropout_seed is not None, setup.protocol.dtype
        key = tuple(image.shape), image.dtype, image.device, planned

        def verified() -> bool:
            try:
                found = difference(self._model, plan, setup, image, self._format)
            except Exception as error:  # of the user's own code, on windows
                if is_out_of_memory(error):
                    raise
                _say_full(f"a step of it fails on windows ({_line(error)})")
                return False
            if found is not None:
                _say_full(f"computed incrementally, {found.what} would be {found.share:.2g} of the largest value off")
            return found is None

        return _verified(self._model, key, verified)

    def _runner(self) -> Runner:
        if self.plan is None:
            return FullRunner(self._model, self._setup, self._batch, Layout(self._format), self._alone)
        sizes = self._trajectories, self._batch, self._dense_batch
        return IncrementalRunner(self._model, self.plan, self._setup, *sizes, Layout(self._format), self._alone)

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
