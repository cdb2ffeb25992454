"""Runs of stages that wait to be logged, one JSON file each."""

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from aopc.base.errors import InputError
from aopc.base.files import atomic
from aopc.base.provenance import git_commit, hardware, versions
from aopc.base.text import without_secrets

#: As MLflow calls them.
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED")
#: Seconds since 1970 that are still a time: the year 5138.
LATEST = 1e11


@dataclass
class StageRun:
    """What MLflow should know about one run of a stage.

    Attributes
    ----------
    name, params
        Of the stage, with its matrix items; settings that it used.
    metrics, curves
        Single numbers, and values by step.
    artifacts, folder
        Files to log, relative to ``folder``; empty: the profile's.
    tags
        Git commit, hardware, versions.
    start, end
        Seconds since 1970.
    status
        As MLflow calls it: FINISHED, FAILED or KILLED.
    tracked
        Whether MLflow should know of it; the stage that logs is no subject of its own.
    parameters
        The whole params.yaml that it ran with; empty where that could not be read.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    start: float = field(default_factory=time.time)
    end: float = 0.0
    status: str = "RUNNING"
    tracked: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    folder: str = ""

    def __post_init__(self) -> None:
        # The name is that of a file, and MLflow would refuse the rest, at every attempt.
        if not self.name or Path(self.name).name != self.name or "\0" in self.name:
            raise ValueError(f"{self.name!r} is no name of a stage")
        if not all(0 <= seconds < LATEST for seconds in (self.start, self.end)) or self.status not in STATUSES:
            raise ValueError(f"{self.name} has no times or no status")

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def finish(self, status: str) -> None:
        """Note the end, the wall time and where it ran."""
        self.end, self.status = time.time(), status
        self.metrics["wall_seconds"] = self.seconds
        self.tags |= {"git_commit": git_commit(), **hardware(), **versions()}


class LoggedRun(NamedTuple):
    """The last run of a stage, and where MLflow shows it, if it does."""

    run: StageRun
    link: str | None


class PendingRuns:
    """A folder of notes which wait to be logged. A damaged one is set aside as ``*.damaged``, by name, and is in the way
    of no other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, run: StageRun) -> bool:
        """Keep a note of a tracked run; where that fails, say so and go on. Returns whether it is kept."""
        return run.tracked and self._write(self._folder / f"{run.end:.6f}-{os.getpid()}.json", asdict(run), run.name)

    def pending(self) -> list[tuple[Path, StageRun]]:
        """The notes that wait, oldest first."""
        found = ((path, _read(path, StageRun)) for path in sorted(self._folder.glob("[0-9]*.json")))
        return [(path, run) for path, run in found if run is not None]

    def logged(self, path: Path, run: StageRun, link: str | None) -> None:
        """A note is in MLflow now: it waits no longer, and is kept as the stage's last run."""
        self.keep(run, link)
        path.unlink()
        # Copies of its files are ours to remove; any other folder that a note names is not.
        if run.folder and Path(run.folder).name != ".." and Path(run.folder).parent == self._copies:
            shutil.rmtree(run.folder, ignore_errors=True)

    @property
    def _copies(self) -> Path:
        """Where :meth:`carry` puts the files of notes, a folder each."""
        return (self._folder / "files").resolve()

    def keep(self, run: StageRun, link: str | None) -> None:
        """Remember a run, of a stage or of the whole pipeline, and where MLflow shows it."""
        last = self._folder / "last" / f"{run.name}.json"
        self._write(last, {"run": asdict(run), "link": link}, run.name)

    def last_runs(self) -> list[LoggedRun]:
        """The last successful run of each stage here, logged or not."""
        notes = (_read(path, LoggedRun) for path in sorted((self._folder / "last").glob("*.json")))
        found = {note.run.name: note for note in notes if note is not None}
        found |= {run.name: LoggedRun(run, None) for _, run in self.pending()}
        return sorted((r for r in found.values() if r.run.status == "FINISHED"), key=lambda r: r.run.end)

    def carry(self, to: "PendingRuns") -> None:
        """Bring the notes to another folder, with copies of their files: this one will be deleted."""
        for path, run in self.pending():
            kept = to._copies / path.stem
            for name in run.artifacts:
                with suppress(OSError):
                    (kept / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(name, kept / name)
            if to.append(replace(run, folder=str(kept))):
                path.unlink(missing_ok=True)

    def _write(self, path: Path, content: Any, name: str) -> bool:
        try:
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(without_secrets(content), default=str), encoding="utf-8")
        except InputError as error:
            print(f"aopc: could not keep the note of {name} for MLflow: {error}", file=sys.stderr)
            return False
        return True


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _read(path: Path, kind: Any) -> Any:
    """A note; None if it is none, and then it is set aside."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _adapter(kind).validate_python(content)
    # What is nested without end is none either.
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        with suppress(OSError):
            path.rename(path.with_name(f"{path.name}.damaged"))
        reason = str(error).splitlines()[0]
        print(f"aopc: {path} is no note of a run, and is set aside as {path.name}.damaged ({reason})", file=sys.stderr)
        return None


#: The name of the whole pipeline's run.
PIPELINE = "pipeline"
#: Of the current folder's profile.
PENDING = PendingRuns(Path(".cache") / "pending")
