"""How a network is trained, as settings."""

import pytest

from aopc.base.errors import InputError
from aopc.models.recipe import TrainingSettings


def test_unknown_solvers_are_said() -> None:
    with pytest.raises(InputError, match="did you mean 'constant'"):
        TrainingSettings(1, 2, 1.0, 0.0, False, 0, "constan")  # type: ignore[arg-type]
