"""The sections of params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from aopc.base.checked import Count, Natural, Text
from aopc.data.sources import SIDES
from aopc.models.caffe.published import weights_named
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.models.recipe import TrainingSettings
from aopc.perturbation.protocol import (
    CONDITIONS,
    DROPOUT,
    LERF,
    MAIN,
    SPATIAL,
    Condition,
    Protocol,
    condition_named,
)

PaperData = Literal["ilsvrc2012", "sun397", "places205"]


@dataclass(frozen=True)
class DatasetSettings:
    """A data set: its source, and the settings of the source by split."""

    source: str
    splits: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Published:
    """A network with weights of Caffe's model zoo: a key of :data:`aopc.models.caffe.published.CAFFE_WEIGHTS`, and
    settings of their :class:`Source` to replace.
    """

    kind: ClassVar[Literal["published"]] = "published"
    weights: str
    archive: dict[str, Any] | None = None


@dataclass(frozen=True)
class Given:
    """A torchvision network with weights from the user's file, a state dict as torch.save wrote it, from the profile's
    folder or absolute. ``preprocessing`` is as of :func:`aopc.models.load.load_network`.
    """

    kind: ClassVar[Literal["given"]] = "given"
    file: Text
    architecture: str
    preprocessing: str


@dataclass(frozen=True)
class Trained:
    """A network that is trained here: its architecture with its settings, and how."""

    kind: ClassVar[Literal["trained"]] = "trained"
    architecture: str
    recipe: TrainingSettings
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PanelSettings:
    """A panel of the paper's figures.

    Attributes
    ----------
    network
        Data set/label, as the section networks has it.
    images
        How many, drawn at random from the test images; None: all.
    region_size
        Side of a region in pixels.
    title
        In the figures.
    stands_for
        Which of the paper's data sets it is or mirrors: its claims are read on it. None: none.
    """

    network: str
    images: Count | None
    region_size: Count
    title: Text
    stands_for: PaperData | None = None


@dataclass(frozen=True)
class ControlSettings:
    """What is compared with the main experiment, on how many images.

    Attributes
    ----------
    images
        Of each panel, drawn at random.
    repeats, random_orders
        As of :class:`Protocol`.
    removals
        Names of removals (journal version), or dotted paths.
    lerf, dropout
        Whether to run these conditions; a network without dropout layers has no second one.
    places
        At how many random places each heatmap is shown; 0: no spatial control.
    explainers
        Further ones, judged beside the panel's.
    """

    images: Count
    repeats: Count
    random_orders: Count
    removals: tuple[str, ...]
    lerf: bool
    dropout: bool
    places: Natural
    explainers: tuple[str, ...]

    def conditions(self, explainers: Sequence[str], protocol: Protocol) -> list[tuple[Condition, list[str]]]:
        """Each condition with the explainers that are judged under it."""
        further = list(dict.fromkeys(e for e in self.explainers if e not in explainers))
        names = dict.fromkeys(r for r in self.removals if r != protocol.removal)
        found = [condition_named(name) for name in names]
        if self.dropout:
            found.append(CONDITIONS[DROPOUT])
        if self.places:
            found.append(Condition(SPATIAL, {"places": self.places}))
        judged = [(c, c.explainers(explainers)) for c in found]
        if self.lerf:
            lerf = CONDITIONS[LERF]
            judged.insert(0, (lerf, [*lerf.explainers(explainers), *further]))
        return [(CONDITIONS[MAIN], further), *judged] if further else judged


@dataclass(frozen=True)
class DigitSettings:
    """Figures 1 and 3: a grey data set with the classes 3 and 9, the networks of the two figures as data set/label, and
    how many test images the similarity of heatmaps is measured on.
    """

    data_set: str
    network: str
    without_pooling: str
    images: Count


@dataclass(frozen=True)
class CheckpointSettings:
    """A training run of Figure 7.

    Attributes
    ----------
    network
        The label of a network of the data set with the section's name, which has checkpoints.
    explainer
        Whose heatmaps are judged.
    images, region_size, title
        As of a panel.
    steps, repeats, random_orders
        In the place of those of the section perturbation.
    """

    network: str
    explainer: str
    images: Count | None
    region_size: Count
    title: Text
    steps: Count | None = None
    repeats: Count | None = None
    random_orders: Count | None = None

    def protocol(self, main: Protocol) -> Protocol:
        """The profile's, with what this section says otherwise."""
        own = {k: getattr(self, k) for k in ("steps", "repeats", "random_orders", "region_size")}
        changes = {k: v for k, v in own.items() if v is not None}
        return Condition("", {**changes, "orders": ("morf",)}).of(main)


@dataclass(frozen=True)
class Settings:
    """A whole params.yaml; ``raw`` is what the file holds."""

    seed: int
    limit: int | None
    datasets: Mapping[str, DatasetSettings]
    networks: Mapping[str, Mapping[str, Published | Given | Trained]]
    panels: Mapping[str, PanelSettings]
    explainers: tuple[str, ...]
    perturbation: Protocol
    controls: ControlSettings
    digits: DigitSettings | None
    checkpoints: Mapping[str, CheckpointSettings]
    rendering: str
    raw: Mapping[str, Any]

    @property
    def titles(self) -> dict[str, str]:
        """Panel → title."""
        return {name: panel.title for name, panel in self.panels.items()}

    @property
    def stands_for(self) -> dict[str, str]:
        """The paper's name of a data set → the panel that stands for it."""
        return {p.stands_for: name for name, p in self.panels.items() if p.stands_for is not None}

    def checkpoint_iterations(self, name: str) -> tuple[int, ...]:
        """At which there are checkpoints of the network whose training the section ``name`` follows."""
        network = self.networks[name][self.checkpoints[name].network]
        return network.recipe.checkpoints if network.kind == "trained" else ()

    def side(self, data_set: str, network: str) -> int | None:
        """Of the square images of a data set as a network sees them, in pixels; None: it is not known before they are
        there.
        """
        owner, _, label = network.partition("/")
        found, images = self.networks.get(owner, {}).get(label), self.datasets.get(data_set)
        if found is None or images is None:
            return None
        if found.kind == "published":
            return weights_named(found.weights).preprocessing.crop
        if found.kind == "given":
            return PREPROCESSINGS[found.preprocessing].crop if found.preprocessing in PREPROCESSINGS else None
        return SIDES.get(images.source) or images.splits.get("test", {}).get("size")

    def architecture_of(self, network: str) -> str | None:
        """What builds a network (data set/label), as its section says; None: what belongs to its weights."""
        data_set, _, label = network.partition("/")
        named = getattr(self.networks[data_set][label], "architecture", "")
        return named if self.networks[data_set][label].kind == "trained" or ":" in named else None

    def protocol(self, panel: str) -> Protocol:
        """Region perturbation on one panel."""
        size = self.panels[panel].region_size
        return Condition("", {"region_size": size}).of(self.perturbation)
