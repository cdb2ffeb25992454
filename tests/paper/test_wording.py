"""What a removal is called."""

import pytest

from aopc.paper.wording import PAPERS_REMOVAL, replaced, taken
from aopc.perturbation.removal import FILLS


@pytest.mark.parametrize("removal", [*FILLS, "mine:removal"])
def test_every_removal_is_said_in_its_own_words(removal: str) -> None:
    others = {replaced(name) for name in [*FILLS, "mine:removal"] if name != removal}
    assert replaced(removal) not in others
    assert (taken(removal) == "as the paper takes it") == (removal == PAPERS_REMOVAL)
    assert removal == PAPERS_REMOVAL or replaced(removal) in taken(removal)
