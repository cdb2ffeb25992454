"""The settings of region perturbation, and conditions: the same with some choices made differently."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.perturbation.order import RANDOM, Order, trajectories_at_random
from aopc.perturbation.removal import REMOVALS, Removal, removal_named

DType = Literal["float32", "tf32", "bfloat16"]
DTYPES: tuple[DType, ...] = get_args(DType)


@dataclass(frozen=True)
class Protocol:
    """What is done to the images, whatever the network; the defaults are the paper's (Samek et al., III.B).

    Attributes
    ----------
    region_size
        Side of a region in pixels. What happens at the border: :class:`aopc.perturbation.partition.Grid`.
    steps
        L, the number of regions removed, one a step.
    repeats
        How often each image is perturbed with fresh random values.
    random_orders
        How many random orders the baseline averages for each image, rounded up to a multiple of the repeats, whose
        noise is used in turn; None: as many as repeats.
    removal
        A name of :data:`aopc.perturbation.removal.REMOVALS`, a dotted path, or a function.
    seed
        Of the noise, the ties and the random orders.
    orders
        By which orders a heatmap is judged: MoRF for AOPC, LeRF too for ABPC.
    dtype
        In what the network computes: "float32" (IEEE), "tf32" (on GPUs that have it) or "bfloat16", which are
        faster and less exact (:mod:`aopc.engine.dtype`).
    dropout
        Explain and judge the network with its dropout layers active, as in training.
    places
        Judge each heatmap at so many random places instead of its own (:mod:`aopc.perturbation.spatial_control`);
        0: at its own.

    Raises
    ------
    InputError
        If a setting is impossible.
    """

    region_size: int = 9
    steps: int = 100
    repeats: int = 10
    random_orders: int | None = None
    removal: str | Removal = "uniform"
    seed: int = 0
    orders: tuple[Order, ...] = ("morf",)
    dtype: DType = "float32"
    dropout: bool = False
    places: int = 0

    def __post_init__(self) -> None:
        if not self.orders or not set(self.orders) <= {"morf", "lerf"}:
            said = ", ".join(self.orders) or "none"
            raise InputError(f"the orders of heatmaps must be morf, lerf or both; got {said}")
        if self.region_size < 1:
            raise InputError(f"the region size must be at least 1 pixel; got {self.region_size}")
        if self.repeats < 1 or (self.random_orders is not None and self.random_orders < 1):
            raise InputError("the numbers of repeats and of random orders must be at least 1")
        if self.places < 0:
            raise InputError(f"the number of random places must be 0 or more; got {self.places}")
        if self.dtype not in DTYPES:
            raise InputError(f"unknown dtype {self.dtype!r}: {nearest(self.dtype, DTYPES)}")

    def orders_of(self, explainer: str) -> tuple[Order, ...]:
        """The orders to compute for an explainer: the baseline has random ones only."""
        return ("random",) if explainer == RANDOM else self.orders

    def trajectories(self, explainer: str) -> int:
        """How many curves an image has for one explainer."""
        if explainer == RANDOM:
            wanted = max(self.random_orders or self.repeats, self.repeats)
            return trajectories_at_random(wanted, self.repeats)
        return self.repeats * len(self.orders) * max(1, self.places)

    def as_parameters(self) -> dict[str, Any]:
        """For result files."""
        return asdict(self)


#: Names of conditions: the main experiment's own choices; least relevant first, for ABPC; the network with dropout
#: active (claim C6); each heatmap at random places. A removal's condition has its name.
MAIN, LERF, DROPOUT, SPATIAL = "morf", "lerf", "dropout", "spatial"


@dataclass(frozen=True)
class Condition:
    """A variant of a protocol.

    Attributes
    ----------
    name
        In result files.
    changes
        Settings of :class:`Protocol` that it makes otherwise.

    Examples
    --------
    >>> Condition("blur", {"removal": "blur"}).of(Protocol()).removal
    'blur'
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def of(self, protocol: Protocol) -> Protocol:
        """The protocol under this condition."""
        return replace(protocol, **self.changes)

    def explainers(self, explainers: Sequence[str]) -> list[str]:
        """Which of these are judged under it: random order has no LeRF and no places of its own."""
        without = "orders" in self.changes or "places" in self.changes
        return [e for e in explainers if e != RANDOM or not without]


#: Conditions by name; each removal is one, too.
CONDITIONS: dict[str, Condition] = {
    MAIN: Condition(MAIN),
    LERF: Condition(LERF, {"orders": ("lerf",)}),
    **{name: Condition(name, {"removal": name}) for name in REMOVALS},
    DROPOUT: Condition(DROPOUT, {"dropout": True}),
    SPATIAL: Condition(SPATIAL, {"places": 1}),
}


def condition_named(name: str) -> Condition:
    """The condition of this name; a dotted path is a removal's. InputError if there is none."""
    if name in CONDITIONS:
        return CONDITIONS[name]
    if ":" not in name:
        raise InputError(f"unknown condition {name!r}: {nearest(name, CONDITIONS)}")
    removal_named(name)
    return Condition(name, {"removal": name})
