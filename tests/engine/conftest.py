"""What tests of the engine share."""

import pytest

from aopc.base import notices
from aopc.engine import choice
from aopc.engine.incremental import plan


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Incremental wherever possible: whether it pays is a test of its own."""
    monkeypatch.setattr(choice, "WORTHWHILE", 1e9)
    monkeypatch.setattr(plan, "WORTH_A_TURN", 0)
    monkeypatch.setattr(notices, "_said", set())
