"""Published protocols as data: a protocol, and the conditions that its authors compare it with."""

from dataclasses import dataclass

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.perturbation.protocol import CONDITIONS, Condition, Protocol


@dataclass(frozen=True)
class Preset:
    """Where it was published, the protocol of the main experiment, and what is judged beside it."""

    source: str
    protocol: Protocol
    conditions: tuple[Condition, ...] = ()


PRESETS: dict[str, Preset] = {
    "samek2016": Preset("Samek et al., arXiv:1509.06321, section III", Protocol()),
    # The journal version adds the LeRF order, for ABPC, and compares four removals.
    "tnnls2017": Preset(
        "Samek et al., IEEE TNNLS 28(11), 2017",
        Protocol(orders=("morf", "lerf")),
        tuple(CONDITIONS[name] for name in ("dirichlet", "mean", "blur")),
    ),
}


def preset_named(name: str) -> Preset:
    """A published protocol; InputError if there is none of this name."""
    if name not in PRESETS:
        raise InputError(f"unknown protocol {name!r}: {nearest(name, PRESETS)}")
    return PRESETS[name]
