"""What one call of the engine computes and how: the same for all its rankings."""

from dataclasses import dataclass

from aopc.perturbation.partition import Partition
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.removal import Removal, removal_named
from aopc.perturbation.value_range import ValueRange


@dataclass(frozen=True)
class Setup:
    """The settings of :func:`aopc.perturbation_curves` under their names there; InputError if there are more steps
    than regions, or no such removal.
    """

    protocol: Protocol
    partition: Partition
    value_range: ValueRange | None = None
    batch_size: int | None = None
    dropout_seed: int | None = None
    incremental: bool = True

    def __post_init__(self) -> None:
        self.partition.check_steps(self.steps)
        removal_named(self.protocol.removal)

    @property
    def removal(self) -> Removal:
        """As a function."""
        return removal_named(self.protocol.removal)

    @property
    def steps(self) -> int:
        return self.protocol.steps

    @property
    def repeats(self) -> int:
        return self.protocol.repeats
