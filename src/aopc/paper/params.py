"""params.yaml, read and checked as a whole."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import Parameter, signature
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

from aopc.base.checked import Count, Text, checked, validated
from aopc.base.errors import InputError
from aopc.base.names import nearest, require_known, require_known_or_dotted, require_safe_name, resolve
from aopc.base.text import carries_secret
from aopc.data.sources import DOWNLOADS, SOURCES, SPLITS
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
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.removal import REMOVALS

T = TypeVar("T")

PARAMS = Path("params.yaml")
#: What settings were called before.
RENAMED = {"arithmetic": "dtype", "surrogates": "places"}
#: Bytes and values in a file, and sections within each other.
LARGEST_FILE, MOST_VALUES, DEEPEST = 2**20, 20_000, 20
#: Sections that cannot be empty.
_NEEDED = ("datasets", "networks", "panels", "explainers")


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """params.yaml of the current folder, where DVC runs a stage, as DVC reads it: as YAML 1.2.

    Raises
    ------
    InputError
        If there is none, or it is not YAML.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"params.yaml is larger than {LARGEST_FILE} bytes: it is something else")
        params = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("there is no params.yaml here: run dvc repro in the repository") from error
    except OSError as error:
        raise InputError(f"cannot read params.yaml: {error.strerror or error}") from error
    # Dates, numbers and tags that are none fail in whatever way Python's own types do.
    except Exception as error:
        reason = " ".join(str(error).partition("To suppress")[0].split()) or type(error).__name__
        raise InputError(f"params.yaml is not valid YAML: {reason[:300]}") from error
    if not isinstance(params, dict):
        raise InputError("params.yaml must hold sections with settings")
    _require_bounded(params)
    return params


def _secrets(held: Any, key: str = "") -> Iterator[str]:
    """What is wrong with addresses: dvc.lock and MLflow's runs, which are shared, hold what stands here."""
    for name, value in held.items() if isinstance(held, dict) else enumerate(held):
        if isinstance(value, str) and carries_secret(value):
            yield (
                f"params.yaml: {key}{name}: a name, a password or a token in an address would be published with"
                " dvc.lock: put them into ~/.netrc, or put the file into the folder of downloads"
            )
        elif isinstance(value, dict | list):
            yield from _secrets(value, f"{key}{name}.")


def _require_bounded(params: Any) -> None:
    """Aliases make a short file large without bound, or endless."""
    waiting, count = [(params, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise InputError(f"params.yaml holds more than {MOST_VALUES} values, or more than {DEEPEST} in each other")
        held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(inner, depth + 1) for inner in held]


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
    check.problems += _secrets(params)
    top = check.top(params)
    seed = top.get("seed", 0)
    datasets = check.each("datasets", top.get("datasets", {}), _dataset, seed)
    networks = {
        name: check.each(f"networks.{name}", labels, _network, seed)
        for name, labels in check.each("networks", top.get("networks", {}), _mapping).items()
    }
    panels = check.each("panels", top.get("panels", {}), _made(PanelSettings))
    checkpoints = check.each("checkpoints", top.get("checkpoints", {}), _made(CheckpointSettings))
    perturbation, own = Protocol(seed=seed), {"region_size", "seed", "dropout", "places"}
    given = check.section(validated, Protocol, "perturbation", top, RENAMED, *own)
    if given is not None:
        perturbation = check.of(_protocol, "params.yaml: perturbation", given, seed, default=perturbation)
    controls = check.section(checked, ControlSettings, "controls", top, RENAMED)
    digits = check.section(checked, DigitSettings, "digits", top) if top.get("digits") else None
    rendering = check.section(checked, _rendering, "complexity", top)
    if "explainers" in top:
        check.explainers(top["explainers"])
    for name, training in checkpoints.items():
        check.known_explainers(f"checkpoints.{name}.explainer", [training.explainer])
        if training.explainer == RANDOM:
            check.problems.append(f"params.yaml: checkpoints.{name}.explainer must be another one than {RANDOM}")
    if controls is not None:
        check.known_explainers("controls.explainers", controls.explainers)
        for removal in controls.removals:
            check.of(require_known_or_dotted, "removal", removal, REMOVALS, default=None, where="controls.removals")
    # What one section names in another is looked for where all sections are there.
    if set(top) >= set(_OWN):
        found = Settings(
            seed, top.get("limit"), datasets, networks, panels, tuple(top["explainers"]), perturbation,
            controls, digits, checkpoints, rendering, params,
        )  # fmt: skip
        check.references(found)
        check.finish()
        return found
    check.finish()
    raise AssertionError("a section that is missing is a mistake")


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
    package: Text = "src/aopc",
    limit: Count | None = None,
) -> None:
    """The sections of params.yaml."""


#: What each section may be, at the least: to look at one of them alone.
_EMPTY: dict[str, Any] = {
    "seed": 0, "datasets": {}, "networks": {}, "panels": {}, "explainers": [], "perturbation": {}, "controls": {},
    "digits": {}, "checkpoints": {}, "complexity": {}, "limit": None, "package": "src",
}  # fmt: skip
_OWN = tuple(n for n, p in signature(_sections).parameters.items() if p.default is Parameter.empty)


def _rendering(*, rendering: str) -> str:
    try:
        require_known("rendering", rendering, RENDERINGS)
    except InputError as error:
        raise InputError(f"params.yaml: complexity.rendering: {error}") from error
    return rendering


def _mapping(where: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a section of settings; got {values!r}")
    return values


def _made(target: type[T]) -> Callable[[str, Any], T]:
    return lambda where, values: checked(target, where, values, RENAMED)


def _protocol(where: str, given: Mapping[str, Any], seed: int) -> Protocol:
    """The section perturbation; each panel has its own region size."""
    missing = [n for n in ("steps", "repeats", "random_orders", "removal") if n not in given]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    if "morf" not in given.get("orders", ("morf",)):
        raise InputError(f"{where}.orders must be morf, or morf and lerf: AOPC is of MoRF")
    try:
        require_known_or_dotted("removal", given["removal"], REMOVALS)
    except InputError as error:
        raise InputError(f"{where}.removal: {error}") from error
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
            place = f"{where}.{split}"
            right = check.of(validated, function, place, given, {}, "split", "seed", default=None)
            if right is not None and source in DOWNLOADS and {"archive", "archives"} & set(right):
                needed = resolve("data set source", DOWNLOADS, source)
                check.of(needed, split, right, default=None, where=place)
    if not values:
        check.problems.append(f"{where} lacks a split: {' or '.join(SPLITS)}")
    check.finish()
    return DatasetSettings(source, values)


def _network(where: str, values: Any, seed: int) -> Published | Given | Trained:
    values = dict(_mapping(where, values))
    if "weights" in values:
        published = checked(Published, where, values)
        weights_named(published.weights).source.changed(published.archive, "archive")
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
    require_known_or_dotted("architecture", trained.architecture, ARCHITECTURES)
    return trained


def _require_regions(side: int, protocol: Protocol) -> None:
    """So many regions must be in an image."""
    Grid(side, side, protocol.region_size).check_steps(protocol.steps)


class _Check:
    """Collects mistakes, so that they can be said at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def of(self, check: Callable[..., Any], *arguments: Any, default: Any, where: str = "") -> Any:
        """What the check gives, or the default; its mistakes get a place where they have none."""
        try:
            return check(*arguments)
        except InputError as error:
            place = where if where.startswith(str(PARAMS)) or not where else f"params.yaml: {where}"
            self.problems += [x if x.startswith(str(PARAMS)) or not where else f"{place}: {x}" for x in error.mistakes]
            return default

    def top(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The sections that are there and of their types."""
        found: dict[str, Any] = {}
        wrong = self.of(validated, _sections, "params.yaml", params, default=None) is None
        for name in params if wrong else ():
            one = {**_EMPTY, name: params[name]} if name in _EMPTY else {}
            with suppress(InputError):
                found |= {name: validated(_sections, "params.yaml", one)[name]} if one else {}
        found = found if wrong else dict(params)
        for name in _NEEDED:
            if name in found and not found[name]:
                self.problems.append(f"params.yaml: {name} must name one at least")
        return found

    def section(self, check: Callable[..., Any], target: Any, name: str, top: Mapping[str, Any], *more: Any) -> Any:
        """What the check makes of a section, None where that is wrong or missing."""
        return self.of(check, target, f"params.yaml: {name}", top[name], *more, default=None) if name in top else None

    def each(self, section: str, entries: Mapping[str, Any], check: Callable[..., Any], *more: Any) -> dict[str, Any]:
        """The entries of a section by name; those with mistakes are left out."""
        found: dict[str, Any] = {}
        lower: dict[str, str] = {}
        for name, entry in entries.items():
            where = f"params.yaml: {section}.{name}"
            before = len(self.problems)
            self.of(require_safe_name, "name", name, default=None, where=f"params.yaml: {section}")
            other = lower.setdefault(str(name).casefold(), name)
            if other != name:
                self.problems.append(f"params.yaml: {section}: {other} and {name} are the same file on some systems")
            made = self.of(check, where, entry, *more, default=None, where=where)
            if made is not None and len(self.problems) == before:
                found[name] = made
        return found

    def known_explainers(self, where: str, names: Sequence[str]) -> None:
        self.problems += [f"params.yaml: {where} has {n} twice" for n, k in Counter(names).items() if k > 1]
        for name in names:
            self.of(require_known_or_dotted, "explainer", name, [*EXPLAINERS, *FURTHER], default=None, where=where)

    def explainers(self, names: Sequence[str]) -> None:
        """Those that all panels are explained by."""
        self.known_explainers("explainers", names)
        if RANDOM not in names:
            self.problems.append(f"params.yaml: explainers lacks {RANDOM}, which all are compared with")
        elif len(set(names)) == 1:
            self.problems.append(f"params.yaml: explainers must name one beside {RANDOM}")

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
        places = [(f"panels.{n}", n, p.network, settings.protocol(n)) for n, p in settings.panels.items()]
        places += [
            (f"checkpoints.{n}", n, f"{n}/{c.network}", c.protocol(settings.perturbation))
            for n, c in settings.checkpoints.items()
        ]
        for where, data_set, network, protocol in places:
            if side := settings.side(data_set, network):
                self.of(_require_regions, side, protocol, default=None, where=where)
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
            raise InputError(*dict.fromkeys(self.problems))
