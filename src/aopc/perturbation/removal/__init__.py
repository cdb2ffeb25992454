"""What replaces removed regions: one module for the contract, one for each kind."""

from aopc.base.errors import InputError
from aopc.base.names import resolve, takes
from aopc.base.text import shown
from aopc.perturbation.removal.contract import Fill, Imputer, Removal
from aopc.perturbation.removal.fills import blur, dirichlet, mean, uniform

__all__ = ["FILLS", "REMOVALS", "Fill", "Imputer", "Removal", "removal_named"]

#: Those that the journal version of the paper compares.
FILLS: dict[str, Fill] = {"uniform": uniform, "dirichlet": dirichlet, "mean": mean, "blur": blur}
#: Name → removal.
REMOVALS: dict[str, Removal] = {**FILLS}


def removal_named(removal: str | Removal) -> Removal:
    """A removal by its name or dotted path, InputError if there is none; a function is itself."""
    found = resolve("removal", REMOVALS, removal) if isinstance(removal, str) else removal
    if not isinstance(found, Imputer) and not takes(found, 3):
        raise InputError(f"the removal {shown(removal)} must take (image, value range, stream), or be an Imputer")
    return found
