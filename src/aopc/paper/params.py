"""params.yaml, read and checked as a whole."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aopc.base.checked import checked, validated
from aopc.base.errors import InputError
from aopc.base.names import nearest, resolve
from aopc.data.sources import SOURCES, SPLITS
from aopc.explainers.registry import EXPLAINERS, FURTHER
from aopc.measures.complexity import RENDERINGS
from aopc.models.caffe.published import weights_named
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.models.recipe import TrainingSettings
from aopc.models.zoo import ARCHITECTURES
from aopc.paper.settings import (
    CheckpointSettings,
    ControlSettings,
    DatasetSettings,
    DigitSettings,
    Given,
    PanelSettings,
    Published,
    Settings,
    Trained,
)
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.removal import REMOVALS

T = TypeVar("T")

PARAMS = Path("params.yaml")
#: What settings were called before.
RENAMED = {"arithmetic": "dtype", "surrogates": "places"}


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """params.yaml of the current folder, where DVC runs a stage, as DVC reads it: as YAML 1.2.

    Raises
    ------
    InputError
        If there is none, or it is not YAML.
    """
    try:
        params = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("there is no params.yaml here: run dvc repro in the repository") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"params.yaml is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(params, dict):
        raise InputError("params.yaml must hold sections with settings")
    return params


def read_settings(path: Path = PARAMS) -> Settings:
    """:func:`settings_of` the file; errors of both."""
    return settings_of(read_params(path))


def settings_of(params: Mapping[str, Any]) -> Settings:
    """All sections, checked.

    Raises
    ------
    InputError
        With a line for each mistake: its key, what was expected, and the nearest known name.
    """
    check = _Check()
    top = validated(_sections, "params.yaml", params)
    seed = top["seed"]
    datasets = check.each("datasets", top["datasets"], _dataset, seed)
    networks = {
        name: check.each(f"networks.{name}", labels, _network, seed)
        for name, labels in check.each("networks", top["networks"], _mapping).items()
    }
    panels = check.each("panels", top["panels"], _made(PanelSettings))
    own = {"region_size", "seed", "dropout", "places"}
    where, perturbation = "params.yaml: perturbation", Protocol(seed=seed)
    given = check.of(validated, Protocol, where, top["perturbation"], RENAMED, *own, default=None)
    if given is not None:
        perturbation = check.of(_protocol, where, given, seed, default=perturbation)
    controls = check.of(checked, ControlSettings, "params.yaml: controls", top["controls"], RENAMED, default=None)
    digits = None
    if top["digits"]:
        digits = check.of(checked, DigitSettings, "params.yaml: digits", top["digits"], default=None)
    checkpoints = check.each("checkpoints", top["checkpoints"], _made(CheckpointSettings))
    rendering = check.of(checked, _rendering, "params.yaml: complexity", top["complexity"], default="")
    check.known_explainers("explainers", top["explainers"])
    if RANDOM not in top["explainers"]:
        check.problems.append(f"params.yaml: explainers lacks {RANDOM}, which all are compared with")
    for name, training in checkpoints.items():
        check.known_explainers(f"checkpoints.{name}.explainer", [training.explainer])
    if controls is not None:
        check.known_explainers("controls.explainers", controls.explainers)
        for removal in controls.removals:
            check.of(_known, "controls.removals", "removal", removal, REMOVALS, default=None)
    found = Settings(
        seed, top.get("limit"), datasets, networks, panels, tuple(top["explainers"]), perturbation,
        controls, digits, checkpoints, rendering, params,
    )  # fmt: skip
    check.references(found)
    check.finish()
    return found


def _sections(
    *,
    seed: int,
    datasets: dict[str, Any],
    networks: dict[str, Any],
    panels: dict[str, Any],
    explainers: tuple[str, ...],
    perturbation: dict[str, Any],
    controls: dict[str, Any],
    digits: dict[str, Any],
    checkpoints: dict[str, Any],
    complexity: dict[str, Any],
    package: str = "src/aopc",
    limit: int | None = None,
) -> None:
    """The sections of params.yaml."""


def _rendering(*, rendering: str) -> str:
    if rendering not in RENDERINGS:
        raise InputError(
            f"params.yaml: complexity.rendering: unknown rendering {rendering!r}: {nearest(rendering, RENDERINGS)}"
        )
    return rendering


def _mapping(where: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a section of settings; got {values!r}")
    return values


def _made(target: type[T]) -> Callable[[str, Any], T]:
    return lambda where, values: checked(target, where, values, RENAMED)


def _known(where: str, kind: str, name: str, table: Mapping[str, Any]) -> None:
    """A name of ours; what a dotted path leads to is seen when it is used."""
    if name not in table and ":" not in name:
        raise InputError(
            f"params.yaml: {where}: unknown {kind} {name!r}: {nearest(name, table)}, or your own as"
            " package.module:function"
        )


def _protocol(where: str, given: Mapping[str, Any], seed: int) -> Protocol:
    """The section perturbation; each panel has its own region size."""
    missing = [n for n in ("steps", "repeats", "random_orders", "removal") if n not in given]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    if "morf" not in given.get("orders", ("morf",)):
        raise InputError(f"{where}.orders must be morf, or morf and lerf: AOPC is of MoRF")
    removal = given["removal"]
    _known("perturbation.removal", "removal", removal, REMOVALS)
    try:
        return Protocol(**given, seed=seed)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _dataset(where: str, values: Any, seed: int) -> DatasetSettings:
    values = dict(_mapping(where, values))
    source = values.pop("source", None)
    if not isinstance(source, str):
        raise InputError(f"{where}.source must be a text; got {source!r}")
    check, function = _Check(), resolve("data set source", SOURCES, source)
    for split, given in values.items():
        if split not in SPLITS:
            check.problems.append(f"{where} has no split {split!r}: {nearest(str(split), SPLITS)}")
        else:
            check.of(validated, function, f"{where}.{split}", given, {}, "split", "seed", default={})
    check.finish()
    return DatasetSettings(source, values)


def _network(where: str, values: Any, seed: int) -> Published | Given | Trained:
    values = dict(_mapping(where, values))
    if "weights" in values:
        published = checked(Published, where, values)
        weights_named(published.weights)
        return published
    if "file" in values:
        given = checked(Given, where, values)
        if given.preprocessing not in PREPROCESSINGS:
            from aopc.models.load import check_preprocessing  # imports torch

            check_preprocessing(given.architecture, given.preprocessing)
        return given
    own = {k: values.pop(k) for k in ("architecture", "settings") if k in values}
    check = _Check()
    recipe = check.of(partial(checked, seed=seed), TrainingSettings, where, values, default=None)
    trained: Trained = check.of(partial(checked, recipe=recipe), Trained, where, own, default=None)
    check.finish()
    _known(where.removeprefix("params.yaml: "), "architecture", trained.architecture, ARCHITECTURES)
    return trained


class _Check:
    """Collects mistakes, so that they can be said at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def of(self, check: Callable[..., Any], *arguments: Any, default: Any, where: str = "") -> Any:
        """What the check gives, or the default; its mistakes get a place where they have none."""
        try:
            return check(*arguments)
        except InputError as error:
            said = str(error).splitlines()
            placed = [x if x.startswith(str(PARAMS)) else f"{where}: {x}" for x in said]
            self.problems += placed if where else said
            return default

    def each(self, section: str, values: Any, check: Callable[..., Any], *more: Any) -> dict[str, Any]:
        """The entries of a section by name; those with mistakes are left out."""
        found = {}
        for name, entry in values.items():
            where = f"params.yaml: {section}.{name}"
            made = self.of(check, where, entry, *more, default=None, where=where)
            if made is not None:
                found[name] = made
        return found

    def known_explainers(self, where: str, names: Sequence[str]) -> None:
        self.problems += [f"params.yaml: {where} has {n} twice" for n, k in Counter(names).items() if k > 1]
        for name in names:
            self.of(_known, where, "explainer", name, EXPLAINERS | FURTHER, default=None)

    def references(self, settings: Settings) -> None:
        """What one section names in another must be there."""
        raw = settings.raw
        sections = {d: s for d, s in raw["networks"].items() if isinstance(s, dict)}
        networks = [f"{d}/{n}" for d, labels in sections.items() for n in labels]
        no_sections = set(raw["networks"]) - set(sections)
        wanted = [(f"panels.{n}", p.network) for n, p in settings.panels.items()]
        if settings.digits is not None:
            wanted += [("digits", getattr(settings.digits, n)) for n in ("network", "without_pooling")]
        wanted += [(f"checkpoints.{n}", f"{n}/{c.network}") for n, c in settings.checkpoints.items()]
        for where, network in wanted:
            # A section that is none has been said already.
            if network not in networks and network.partition("/")[0] not in no_sections:
                self.problems.append(
                    f"params.yaml: {where} wants the network {network!r}, which no section of networks"
                    f" gives: it must be data set/label; {nearest(network, networks)}"
                )
        tested = [n for n, d in settings.datasets.items() if "test" in d.splits]
        sets = [(f"panels.{n}", n) for n in settings.panels]
        sets += [(f"checkpoints.{n}", n) for n in settings.checkpoints]
        sets += [("digits", settings.digits.data_set)] if settings.digits is not None else []
        broken = set(raw["datasets"]) - set(settings.datasets)
        for where, name in sets:
            if name not in tested and name not in broken:
                self.problems.append(
                    f"params.yaml: {where}: {name!r} must be a data set with a split `test`: {nearest(name, tested)}"
                )
        for name, panel in settings.panels.items():
            first = settings.stands_for.get(panel.stands_for or "")
            others = [n for n, p in settings.panels.items() if p.stands_for == panel.stands_for]
            if first == name and len(others) > 1:
                self.problems.append(
                    f"params.yaml: the panels {' and '.join(others)} both stand for {panel.stands_for};"
                    " take stands_for out of one"
                )
        judged = [n for n, p in settings.panels.items() if p.stands_for and n in settings.datasets]
        for name, other in combinations(judged, 2):
            shown = [(settings.datasets[n].source, settings.datasets[n].splits.get("test")) for n in (name, other)]
            if shown[0] == shown[1]:
                self.problems.append(
                    f"params.yaml: the panels {name} and {other} show the same images, which would count twice in a"
                    " claim; take stands_for out of one"
                )
        for name, training in settings.checkpoints.items():
            known = settings.networks.get(name, {}).get(training.network) is not None
            points = settings.checkpoint_iterations(name) if known else ()
            if known and len(points) < 3:
                self.problems.append(
                    f"params.yaml: checkpoints.{name} needs three checkpoints or more;"
                    f" networks.{name}.{training.network} lists {len(points)}"
                )

    def finish(self) -> None:
        """Raise what was collected."""
        if self.problems:
            raise InputError("\n".join(dict.fromkeys(self.problems)))
