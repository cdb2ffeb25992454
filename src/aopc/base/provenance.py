"""Where a result is from: the code, the inputs, the versions and the machine that made it."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aopc.base.imports import PACKAGE, reached
from aopc.base.sources import sources_of
from aopc.base.text import without_secrets

PACKAGES = ("torch", "torchvision", "zennit", "numpy", "dvc", "mlflow")


def file_hash(path: Path) -> str:
    """A hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def source_hash(name: object) -> str | None:
    """A hash of the code that a dotted path ``package.module:function`` leads to, with all that it imports
    (:func:`aopc.base.sources.sources_of`); None for our own names.
    """
    if not isinstance(name, str) or ":" not in name:
        return None
    return sources_of(name.partition(":")[0]).hash


def packages_of(*names: object) -> dict[str, str]:
    """The installed packages that the code of dotted paths imports, with their versions."""
    found: dict[str, str] = {}
    for name in names:
        if isinstance(name, str) and ":" in name:
            found |= sources_of(name.partition(":")[0]).packages
    return dict(sorted(found.items()))


@lru_cache(maxsize=64)
def code_hash(module: str) -> str:
    """A hash of the source text that a module's results depend on (:func:`aopc.base.imports.reached`)."""
    digest = hashlib.blake2b(digest_size=8)
    for name in reached(module):
        digest.update(name.encode() + b"\0" + (PACKAGE / name).read_bytes())
    return digest.hexdigest()


def metadata(parameters: Mapping[str, Any], module: str, *names: object) -> dict[str, Any]:
    """What every result file says about itself: its parameters, and the code of the ``module`` that computed it.

    Of the dotted paths among ``names`` it has the hashes of their code as ``own``. Secrets of addresses are left out:
    these files are shared.
    """
    found = {"parameters": without_secrets(dict(parameters)), "code": code_hash(module)}
    own = {str(name): hash for name in names if (hash := source_hash(name)) is not None}
    return found | ({"own": own} if own else {})


def identity_hash(content: Mapping[str, Any], module: str) -> str:
    """A hash of all that determines a result.

    That is ``content`` (parameters and hashes of inputs, as JSON can hold them), the code that the ``module`` which
    computes it reaches, and the versions of torch and zennit.
    """
    used = {name: version(name) for name in ("torch", "zennit")}
    whole = json.dumps({**content, **used, "code": code_hash(module)}, sort_keys=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


def git_commit() -> str:
    """The commit of the current folder, "-dirty" added where the code differs from it."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}-dirty" if _git("status", "--porcelain", "-uno", "--", ":/src") else head
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def hardware() -> dict[str, str]:
    """CPU, cores and GPU, the last only where torch is in use."""
    found = {"cpu": _cpu_name(), "cores": str(os.cpu_count()), "gpu": "none"}
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
