"""How a network is trained, as settings."""

import pytest

from aopc.base.errors import InputError
from aopc.models.recipe import TrainingSettings


def test_unknown_solvers_are_said() -> None:
    with pytest.raises(InputError, match="did you mean 'constant'"):
        TrainingSettings(1, 2, 1.0, 0.0, False, 0, "constan")  # type: ignore[arg-type]


def test_a_checkpoint_counts_once() -> None:
    """Twice the same point would make an order of the points look less probable than it is (C9)."""
    with pytest.raises(InputError, match="twice"):
        TrainingSettings(1, 2, 1.0, 0.0, False, 0, checkpoints=(10, 40, 10))
