"""Bring the pending runs to MLflow: a parent run a pipeline run, a child run a stage."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from aopc.base.places import profile, root
from aopc.base.provenance import file_hash
from aopc.base.text import without_secrets
from aopc.paper.tracking.pending import PIPELINE, PendingRuns, StageRun

EXPERIMENT = "aopc"
#: In the repository's root, for all profiles, unless MLFLOW_TRACKING_URI names another store.
DATABASE, ARTIFACTS = Path("mlflow.db"), Path("mlartifacts")
#: Where `make ui` shows the database.
LOCAL_UI = "http://127.0.0.1:5000"

#: A store that does not answer should cost seconds, not MLflow's default of many minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def log_pending(pending: PendingRuns, params: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Log all waiting notes; those that were logged are removed from the pending.

    ``params`` and ``files`` are for the parent run; the files' hashes become tags. Returns a sentence on what was
    logged, or on what could not be and how to do it later: a store that does not answer is no error.
    """
    if not pending.pending():
        return "MLflow: nothing to log"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / DATABASE}"
    shown = without_secrets(uri)
    lock = root() / ".cache" / "mlflow.lock"
    try:
        lock.parent.mkdir(exist_ok=True)
        # Two processes that create the database at once would both fail.
        with FileLock(lock):
            notes = pending.pending()
            _log(uri, pending, notes, params, [f for f in files if f.exists()])
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return (
            f"MLflow: could not log {len(pending.pending())} runs to {shown} ({without_secrets(reason)[:200]}); their notes are kept,"
            " `aopc track` logs them later"
        )
    return f"MLflow: logged {len(notes)} runs to {shown}; `make ui` shows them"


def _log(
    uri: str,
    pending: PendingRuns,
    notes: list[tuple[Path, StageRun]],
    params: Mapping[str, Any],
    files: Sequence[Path],
) -> None:
    from mlflow import MlflowClient

    client, runs = MlflowClient(tracking_uri=uri), [run for _, run in notes]
    experiment_id = _experiment(client, uri)
    claims = {k: v for run in runs if run.name == "claims" for k, v in run.metrics.items()}
    hashes = {f"hash_{f.name}": file_hash(f) for f in files}
    parent = StageRun(
        name=PIPELINE,
        params=without_secrets(dict(params)),
        metrics={"stages": float(len(runs)), "stage_seconds": sum(r.seconds for r in runs), **claims},
        artifacts=[str(f) for f in files] + [a for r in runs for a in r.artifacts],
        tags={**runs[-1].tags, "profile": profile(), **hashes},
        start=min(r.start for r in runs),
        end=max(r.end for r in runs),
        status="FINISHED" if all(r.status == "FINISHED" for r in runs) else "FAILED",
    )
    parent_id = _log_run(client, experiment_id, parent, None)
    pending.keep(parent, _link(uri, experiment_id, parent_id))
    for path, run in notes:
        run_id = _log_run(client, experiment_id, run, parent_id)
        pending.logged(path, run, _link(uri, experiment_id, run_id))


def _experiment(client: Any, uri: str) -> str:
    if (experiment := client.get_experiment_by_name(EXPERIMENT)) is not None:
        return str(experiment.experiment_id)
    local = (root() / ARTIFACTS).as_uri() if uri.startswith("sqlite:") else None
    # Otherwise MLflow's page takes the experiment for one on language models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(EXPERIMENT, artifact_location=local, tags=kind))


def _link(uri: str, experiment_id: str, run_id: str) -> str:
    """Where the run is shown: by the server, or by `make ui` for a store that is a file."""
    address = urlsplit(uri)
    # Without name, password and what follows "?": the link is on the page.
    plain = address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()
    server = without_secrets(plain).rstrip("/") if uri.startswith("http") else LOCAL_UI
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"


def _log_run(client: Any, experiment_id: str, run: StageRun, parent_id: str | None) -> str:
    from mlflow.entities import Metric, Param

    started, ended = int(run.start * 1000), int(run.end * 1000)
    tags = run.tags if parent_id is None else {**run.tags, "mlflow.parentRunId": parent_id}
    created = client.create_run(experiment_id, started, tags, run_name=run.name)
    run_id = str(created.info.run_id)
    curves = [*((name, [value]) for name, value in run.metrics.items()), *run.curves.items()]
    client.log_batch(
        run_id,
        metrics=[Metric(_key(name), float(v), ended, step) for name, vs in curves for step, v in enumerate(vs)],
        params=[Param(_key(name), str(value)[:5000]) for name, value in _flat(run.params)],
    )
    for name in dict.fromkeys(run.artifacts):
        if Path(name).exists():
            folder = Path(name).parent.as_posix()
            # params.yaml and dvc.lock hold what the user wrote.
            text = Path(name).read_text(encoding="utf-8") if Path(name).suffix in (".yaml", ".lock") else ""
            if (shown := without_secrets(text)) != text:
                client.log_text(run_id, shown, name)
                continue
            client.log_artifact(run_id, name, None if folder == "." else folder)
    client.set_terminated(run_id, status=run.status, end_time=ended)
    return run_id


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _key(name: str) -> str:
    """A name as MLflow allows it: letters, digits and _ - . / : only."""
    return re.sub(r"[^\w./: -]", "_", name)
