"""Bring the pending runs to MLflow: a parent run a pipeline run, a child run a stage."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from aopc.base.places import profile, root
from aopc.base.provenance import file_hash
from aopc.paper.tracking.pending import PIPELINE, PendingRuns, StageRun

EXPERIMENT = "aopc"
DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
#: Where `make ui` shows the database.
LOCAL_UI = "http://127.0.0.1:5000"


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or the database in the repository's root, for all profiles."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / DATABASE}"


def log_pending(pending: PendingRuns, params: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Log all waiting notes; those that were logged are removed from the pending.

    Parameters
    ----------
    pending
        The notes.
    params
        For the parent run.
    files
        For the parent run, too; their hashes become tags.

    Returns
    -------
    A sentence on what was logged, or on what could not be and how to do it later. A store that
    does not answer is no error.
    """
    if not pending.pending():
        return "MLflow: nothing to log"
    uri = store_uri()
    # A store that does not answer should cost seconds, not MLflow's default of many minutes.
    for name, value in (
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
    ):
        os.environ.setdefault(name, value)
    try:
        # Two processes that create the database at once would both fail.
        with FileLock(_lock_file()):
            notes = pending.pending()
            _log(uri, pending, notes, params, [f for f in files if f.exists()])
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return (
            f"MLflow: could not log {len(pending.pending())} runs to {uri} ({reason[:200]}); their notes are"
            " kept, `aopc track` logs them later"
        )
    return f"MLflow: logged {len(notes)} runs to {uri}; `make ui` shows them"


def _lock_file() -> Path:
    path = root() / ".cache" / "mlflow.lock"
    path.parent.mkdir(exist_ok=True)
    return path


def _log(
    uri: str,
    pending: PendingRuns,
    notes: list[tuple[Path, StageRun]],
    params: Mapping[str, Any],
    files: Sequence[Path],
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        local = (root() / ARTIFACTS).as_uri() if uri.startswith("sqlite:") else None
        # Otherwise MLflow's page takes the experiment for one on language models.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        experiment_id = client.create_experiment(EXPERIMENT, artifact_location=local, tags=kind)
    else:
        experiment_id = experiment.experiment_id
    runs = [run for _, run in notes]
    parent = StageRun(
        name=PIPELINE,
        params=dict(params),
        metrics={"stages": float(len(runs)), "stage_seconds": sum(r.end - r.start for r in runs)},
        artifacts=[str(f) for f in files] + [a for r in runs for a in r.artifacts],
        tags={
            **runs[-1].tags,
            "profile": profile(),
            **{f"hash_{f.name}": file_hash(f) for f in files},
        },
        start=min(r.start for r in runs),
        end=max(r.end for r in runs),
        status="FINISHED" if all(r.status == "FINISHED" for r in runs) else "FAILED",
    )
    for run in runs:
        if run.name == "claims":
            parent.metrics |= run.metrics
    parent_id = _log_run(client, experiment_id, parent, None)
    pending.keep(parent, _link(uri, experiment_id, parent_id))
    for path, run in notes:
        run_id = _log_run(client, experiment_id, run, parent_id)
        pending.logged(path, run, _link(uri, experiment_id, run_id))


def _link(uri: str, experiment_id: str, run_id: str) -> str:
    """Where the run is shown: by the server, or by `make ui` for a store that is a file."""
    server = uri.rstrip("/") if uri.startswith("http") else LOCAL_UI
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"


def _log_run(client: Any, experiment_id: str, run: StageRun, parent_id: str | None) -> str:
    from mlflow.entities import Metric, Param

    started, ended = int(run.start * 1000), int(run.end * 1000)
    tags = {"mlflow.runName": run.name, **run.tags}
    if parent_id is not None:
        tags["mlflow.parentRunId"] = parent_id
    created = client.create_run(experiment_id, start_time=started, tags=tags)
    run_id: str = created.info.run_id
    metrics = [Metric(_key(k), float(v), ended, 0) for k, v in run.metrics.items()]
    for name, values in run.curves.items():
        metrics += [Metric(_key(name), float(v), ended, step) for step, v in enumerate(values)]
    settings = [Param(_key(k), str(v)[:5000]) for k, v in _flat(run.params)]
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    for start in range(0, len(settings), 100):
        client.log_batch(run_id, params=settings[start : start + 100])
    for name in dict.fromkeys(run.artifacts):
        if Path(name).exists():
            client.log_artifact(run_id, name, _folder_of(name))
    client.set_terminated(run_id, status=run.status, end_time=ended)
    return run_id


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _key(name: str) -> str:
    """A name as MLflow allows it: letters, digits and _ - . / : only."""
    return "".join(c if c.isalnum() or c in "_-./: " else "_" for c in name)


def _folder_of(name: str) -> str | None:
    folder = Path(name).parent.as_posix()
    return None if folder == "." else folder
