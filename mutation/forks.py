"""Tests of one mutant in a process of its own, which has everything imported but the package.

The mutant is never written to disk: the import system is given its text in place of the module's.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

#: What tests import beside the package; it takes longer than most tests.
_HEAVY = ("torch", "torchvision", "zennit.core", "scipy.stats", "scipy.ndimage", "pandas", "hypothesis", "PIL.Image")


def warm_up() -> None:
    """Import what all tests need, before the first fork."""
    # Plugins that are installed but not asked for take longer to start than most tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in _HEAVY:
        importlib.import_module(name)


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module, with other text."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        folder = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, self._path, loader=self, submodule_search_locations=folder)

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._text.encode()


@dataclass
class Fork:
    """One run of pytest that has been started."""

    process: int
    started: float
    limit: float

    @classmethod
    def of(cls, tests: Sequence[Path], limit: float, module: Path | None = None, text: str = "") -> "Fork":
        """Run the tests, with another text of a module, for so many seconds at most."""
        started = time.monotonic()
        process = os.fork()
        if process == 0:
            os._exit(_tested(tests, module, text))
        return cls(process, started, limit)

    def outcome(self) -> tuple[str, float] | None:
        """What became of it ("killed", "survived", "timeout"), and after how long; None while it runs.

        RuntimeError if pytest itself failed.
        """
        seconds = time.monotonic() - self.started
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
                raise RuntimeError(f"pytest ended with {pytest.ExitCode(code).name.lower()}")
            return ("survived" if code == 0 else "killed"), seconds
        if seconds > self.limit:
            os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            return "timeout", seconds
        return None


def _tested(tests: Sequence[Path], module: Path | None, text: str) -> int:
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        if module is not None:
            sys.meta_path.insert(0, _Mutated(name_of(module), module.resolve(), text))
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *map(str, tests)]))
    except BaseException:
        return 1


def name_of(module: Path) -> str:
    """src/aopc/measures/aopc.py → aopc.measures.aopc."""
    parts = module.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
