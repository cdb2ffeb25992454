"""Runs DVC as a user does, in a repository of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from aopc.paper.tracking.store import EXPERIMENT

ROOT = Path(__file__).parents[1]


def settings(**more: str) -> dict[str, str]:
    """The environment of commands: this one's programs, and no telemetry."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def execute(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with this environment's programs."""
    return subprocess.run(
        command,
        cwd=folder,
        env=settings(**environment),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages that a dvc repro ran."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def new_repository(folder: Path) -> Path:
    """The default profile and the source in a new git and DVC repository."""
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")
    execute(folder, "git", "init", "-q")
    execute(folder, "dvc", "init", "-q")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    return folder


def logged_runs(database: Path) -> list[Any]:
    """All MLflow runs of a database."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))
