"""The settings of region perturbation, and conditions: the same with some choices made differently."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from aopc.base.arguments import as_integer, require_flag
from aopc.base.checked import Count, Natural
from aopc.base.errors import InputError
from aopc.base.names import nearest, require_known, require_known_or_dotted
from aopc.base.text import shown
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

    region_size: Count = 9
    steps: Count = 100
    repeats: Count = 10
    random_orders: Count | None = None
    removal: str | Removal = "uniform"
    seed: int = 0
    orders: tuple[Order, ...] = ("morf",)
    dtype: DType = "float32"
    dropout: bool = False
    places: Natural = 0

    def __post_init__(self) -> None:
        listed = isinstance(self.orders, tuple | list) and all(isinstance(o, str) for o in self.orders)
        if not listed or not self.orders or not set(self.orders) <= {"morf", "lerf"}:
            raise InputError(f"the orders of heatmaps must be morf, lerf or both; got {shown(self.orders)}")
        bounds = {"region_size": 1, "steps": 1, "repeats": 1, "random_orders": 1, "places": 0, "seed": None}
        for name, least in bounds.items():
            if (value := getattr(self, name)) is not None or name != "random_orders":
                object.__setattr__(self, name, as_integer(name, value, least))
        require_flag("dropout", self.dropout)
        require_known("dtype", self.dtype, DTYPES)
        if not callable(self.removal):
            require_known_or_dotted("removal", self.removal, REMOVALS)

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
