"""What can be known of params.yaml before the first stage: ``make repro`` begins with it.

DVC reads the file before any stage does, and where a section that it goes through is empty or no section, it says so in
its own words. So all mistakes are said here first, a line each, and what is the user's own is imported once.
"""

import sys

from aopc.base.checked import validated
from aopc.base.command import run_command
from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.explainers.registry import get_explainer
from aopc.models.zoo import ARCHITECTURES
from aopc.paper.params import read_settings
from aopc.paper.settings import Settings
from aopc.perturbation.removal import removal_named


def check(settings: Settings) -> None:
    """Raise InputError unless what settings name by dotted path is there, and architectures take their settings."""
    problems: list[str] = []
    controls = settings.controls
    explainers = {*settings.explainers, *controls.explainers, *(c.explainer for c in settings.checkpoints.values())}
    for name in sorted(n for n in explainers if ":" in n):
        _collect(problems, get_explainer, name)
    for name in sorted({str(settings.perturbation.removal), *controls.removals}):
        _collect(problems, removal_named, name)
    for data_set, networks in settings.networks.items():
        for label, network in networks.items():
            if network.kind == "trained" and (network.settings or ":" in network.architecture):
                where = f"networks.{data_set}.{label}.settings"
                _collect(problems, _take, network.architecture, f"params.yaml: {where}", network.settings)
    if problems:
        raise InputError(*problems)


def _take(architecture: str, where: str, settings: object) -> None:
    validated(resolve("architecture", ARCHITECTURES, architecture), where, settings, {}, "classes")


def _collect(problems: list[str], look: object, *arguments: object) -> None:
    try:
        look(*arguments)  # type: ignore[operator]
    except InputError as error:
        problems += [m if m.startswith("params.yaml") else f"params.yaml: {m}" for m in error.mistakes]


if __name__ == "__main__":
    sys.exit(run_command(lambda: check(read_settings())))
