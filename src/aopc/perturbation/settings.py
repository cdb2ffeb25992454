"""What is removed, how often, and how it is computed: the same for all rankings of a call."""

from dataclasses import dataclass

from aopc.errors import InputError
from aopc.perturbation.arithmetic import Arithmetic
from aopc.perturbation.regions import Grid
from aopc.perturbation.removal import REMOVALS, Removal, ValueRange
from aopc.registry import resolve


@dataclass(frozen=True)
class Settings:
    """The settings of :func:`aopc.perturbation_curves` that do not depend on the images or their order.

    Attributes
    ----------
    grid
        The regions.
    steps, repeats, removal, seed, value_range, batch_size, dropout_seed, arithmetic, incremental
        As of :func:`aopc.perturbation_curves`.

    Raises
    ------
    InputError
        If a setting is impossible.
    """

    grid: Grid
    steps: int
    repeats: int
    removal: str | Removal = "uniform"
    seed: int = 0
    value_range: ValueRange | None = None
    batch_size: int | None = None
    dropout_seed: int | None = None
    arithmetic: Arithmetic = "float32"
    incremental: bool = True

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InputError("repeats must be at least 1")
        self.grid.check_steps(self.steps)

    @property
    def replace(self) -> Removal:
        """The removal as a function."""
        if isinstance(self.removal, str):
            return resolve("removal", REMOVALS, self.removal)
        return self.removal
