"""Runs of stages that wait to be logged, one JSON file each."""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aopc.base.errors import InputError
from aopc.base.files import atomic
from aopc.base.provenance import git_commit, hardware, versions
from aopc.base.text import without_secrets


@dataclass
class StageRun:
    """What MLflow should know about one run of a stage.

    Attributes
    ----------
    name, params
        Of the stage, with its matrix items; settings that it used.
    metrics, curves
        Single numbers, and values by step.
    artifacts
        Files to log, relative to the repository.
    tags
        Git commit, hardware, versions.
    start, end
        Seconds since 1970.
    status
        As MLflow calls it: FINISHED, FAILED or KILLED.
    tracked
        Whether MLflow should know of it; the stage that logs is no subject of its own.
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
    """A folder of notes which wait to be logged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, run: StageRun) -> None:
        """Keep a note of a tracked run; where that fails, say so and go on."""
        if not run.tracked:
            return
        try:
            with atomic(self._folder / f"{run.end:.6f}-{os.getpid()}.json") as path:
                path.write_text(json.dumps(without_secrets(asdict(run))), encoding="utf-8")
        except InputError as error:
            print(f"aopc: could not keep the note of {run.name} for MLflow: {error}", file=sys.stderr)

    def pending(self) -> list[tuple[Path, StageRun]]:
        """The notes that wait, oldest first; a file that is not a note is passed over by name."""
        notes = []
        for path in sorted(self._folder.glob("[0-9]*.json")):
            try:
                notes.append((path, StageRun(**json.loads(path.read_text(encoding="utf-8")))))
            except (ValueError, TypeError) as error:
                print(f"aopc: {path} is no note of a run, passed over ({error})", file=sys.stderr)
        return notes

    def logged(self, path: Path, run: StageRun, link: str | None) -> None:
        """A note is in MLflow now: it waits no longer, and is kept as the stage's last run."""
        self.keep(run, link)
        path.unlink()

    def keep(self, run: StageRun, link: str | None) -> None:
        """Remember a run, of a stage or of the whole pipeline, and where MLflow shows it."""
        last = self._folder / "last" / f"{run.name}.json"
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_text(json.dumps(without_secrets({"run": asdict(run), "link": link})), encoding="utf-8")

    def last_runs(self) -> list[LoggedRun]:
        """The last successful run of each stage here, logged or not."""
        notes = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((self._folder / "last").glob("*.json"))]
        found = {note["run"]["name"]: LoggedRun(StageRun(**note["run"]), note["link"]) for note in notes}
        found |= {run.name: LoggedRun(run, None) for _, run in self.pending()}
        return sorted((r for r in found.values() if r.run.status == "FINISHED"), key=lambda r: r.run.end)


#: The name of the whole pipeline's run.
PIPELINE = "pipeline"
#: Of the current folder's profile.
PENDING = PendingRuns(Path(".cache") / "pending")
