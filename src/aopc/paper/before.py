"""What can be known of params.yaml before the first stage: ``make repro`` begins with it.

DVC reads the file before any stage does, and where a section that it goes through is empty or no section, it says so in
its own words. So all mistakes are said here first, a line each, and what is the user's own is imported once. Nor does
DVC watch the code of one's own parts: results of another version of it are refused here.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from aopc.base.checked import validated
from aopc.base.command import run_command
from aopc.base.errors import DamagedError, InputError
from aopc.base.files import origin_of
from aopc.base.names import resolve
from aopc.base.provenance import source_hash
from aopc.explainers.registry import get_explainer
from aopc.models.zoo import ARCHITECTURES
from aopc.paper.folders import DATA, how_to_make
from aopc.paper.params import read_settings
from aopc.paper.settings import Settings
from aopc.perturbation.removal import removal_named


def check(settings: Settings) -> None:
    """Raise InputError unless what settings name by dotted path is there, and architectures take their settings."""
    problems: list[str] = []
    controls = settings.controls
    explainers = {*settings.explainers, *controls.explainers, *(c.explainer for c in settings.checkpoints.values())}
    removals = {str(settings.perturbation.removal), *controls.removals}
    for name in sorted(n for n in explainers if ":" in n):
        _collect(problems, get_explainer, name)
    for name in sorted(removals):
        _collect(problems, removal_named, name)
    for data_set, networks in settings.networks.items():
        for label, network in networks.items():
            if network.kind == "trained" and (network.settings or ":" in network.architecture):
                where = f"networks.{data_set}.{label}.settings"
                _collect(problems, _take, network.architecture, f"params.yaml: {where}", network.settings)
    if problems:
        raise InputError(*problems)
    _require_same_code({n: hash for n in explainers | removals if (hash := source_hash(n)) is not None})


def _require_same_code(now: Mapping[str, str]) -> None:
    """Raise InputError where results are of another version of one's own code."""
    other = [(n, file) for file, own in _own_parts() for n, hash in own.items() if now.get(n, hash) != hash]
    if other:
        names = ", ".join(sorted({name for name, _ in other}))
        raise InputError(
            f"the code of {names} is not that of the results in {DATA}, which DVC does not see: run"
            f" {how_to_make(*(file for _, file in other))}"
        )


def _own_parts() -> Iterator[tuple[Path, dict[str, str]]]:
    """The pipeline's files, and which code of one's own they are of: name → hash."""
    for file in (*sorted(DATA.rglob("about.json")), *sorted(DATA.rglob("*.parquet"))):
        try:
            own = origin_of(file).get("own")
        except DamagedError:  # whoever reads it says so
            continue
        if isinstance(own, dict):
            yield file, own


def _take(architecture: str, where: str, settings: object) -> None:
    validated(resolve("architecture", ARCHITECTURES, architecture), where, settings, {}, "classes")


def _collect(problems: list[str], look: object, *arguments: object) -> None:
    try:
        look(*arguments)  # type: ignore[operator]
    except InputError as error:
        problems += [m if m.startswith("params.yaml") else f"params.yaml: {m}" for m in error.mistakes]


if __name__ == "__main__":
    sys.exit(run_command(lambda: check(read_settings())))
