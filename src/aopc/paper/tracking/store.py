"""Bring the pending runs to MLflow: a parent run a pipeline run, a child run a stage."""

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from aopc.base.places import checkout, profile, root
from aopc.base.provenance import file_hash
from aopc.base.text import one_line, without_secrets
from aopc.paper.tracking.artifacts import follow
from aopc.paper.tracking.pending import PIPELINE, PendingRuns, StageRun
from aopc.paper.tracking.reach import UnreachableError, database_of, require_reachable
from aopc.paper.variant import variant_of

#: A note's file, and what it says.
Note = tuple[Path, StageRun]

EXPERIMENT = "aopc"
#: In the checkout's root, for all profiles, unless MLFLOW_TRACKING_URI names another store.
DATABASE, ARTIFACTS = Path("mlflow.db"), Path("mlartifacts")
#: Where `make ui` shows the database.
LOCAL_UI = "http://127.0.0.1:5000"

#: A store that does not answer should cost seconds, not MLflow's default of many minutes.
LOCK_SECONDS = 60.0
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def tracking_uri() -> str:
    """Of the store: MLFLOW_TRACKING_URI, or the database of the checkout (:func:`aopc.base.places.checkout`)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{checkout() / DATABASE}"


def log_pending(pending: PendingRuns, params: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Log all waiting notes; those that were logged are removed from the pending.

    ``params`` are for notes that do not say with which they ran; ``files`` are for the parent run, and their hashes become
    its tags. Returns a sentence on what was logged, or on what could not be and how to do it later: a store that does
    not answer is no error. Notes in a folder that DVC will delete are brought to the checkout then.
    """
    if not pending.pending():
        return "MLflow: nothing to log"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri, lock = tracking_uri(), checkout() / ".cache" / "mlflow.lock"
    shown = one_line(without_secrets(uri))
    try:
        require_reachable(uri)
        lock.parent.mkdir(exist_ok=True)
        # Two processes that create the database at once would both fail.
        with FileLock(lock, timeout=LOCK_SECONDS):
            if database_of(uri) == checkout() / DATABASE:
                follow(checkout() / DATABASE, EXPERIMENT, checkout() / ARTIFACTS)
            notes = pending.pending()
            for own in _by_parameters(notes, params):
                used = own[0][1].parameters or params
                # As they lie here they are of the current parameters.
                _log(uri, pending, own, used, [f for f in files if f.exists() and used == params])
    except Exception as error:
        count = len(pending.pending())
        if (kept := checkout()) != root():
            pending.carry(PendingRuns(kept / Path.cwd().relative_to(root()) / ".cache" / "pending"))
        return (
            f"MLflow: could not log {count} runs to {shown} ({_reason(error)}); their notes are kept,"
            f" `aopc track` logs them later{'' if kept == root() else f' in {kept}'}"
        )
    return f"MLflow: logged {len(notes)} runs to {shown}; `make ui` shows them"


def _reason(error: Exception) -> str:
    # Before it is cut: an address without its end hides nothing.
    said = without_secrets(str(error).splitlines()[0]) if str(error) else type(error).__name__
    if "database schema" in said:
        return "it was made by another version of MLflow: use that one, or `mlflow db upgrade` if it is an older one"
    return said[:200]


def _by_parameters(notes: list[Note], params: Mapping[str, Any]) -> list[list[Note]]:
    """The notes of each pipeline run: those with the same parameters, in the order of the first of each."""
    groups: dict[str, list[Note]] = {}
    for path, run in notes:
        key = json.dumps([run.parameters or params, bool(run.folder)], sort_keys=True, default=str)
        groups.setdefault(key, []).append((path, run))
    return list(groups.values())


def _log(uri: str, pending: PendingRuns, notes: list[Note], params: Mapping[str, Any], files: Sequence[Path]) -> None:
    from mlflow import MlflowClient

    client, runs = MlflowClient(tracking_uri=uri), [run for _, run in notes]
    experiment_id = _experiment(client, uri)
    claims = {k: v for run in runs if run.name == "claims" for k, v in run.metrics.items()}
    hashes = {f"hash_{f.name}": file_hash(f) for f in files}
    variant = variant_of(params)
    said = {"variant": str(variant)[:5000], "variant_command": variant.command[:5000]} if variant else {}
    own = [(Path(run.folder) / name, name) for run in runs for name in run.artifacts]
    parent = StageRun(
        name=PIPELINE,
        params=without_secrets(dict(params)),
        metrics={"stages": float(len(runs)), "stage_seconds": sum(r.seconds for r in runs), **claims},
        tags={**runs[-1].tags, "profile": profile(), **hashes, **said},
        start=min(r.start for r in runs),
        end=max(r.end for r in runs),
        status="FINISHED" if all(r.status == "FINISHED" for r in runs) else "FAILED",
    )
    parent_id = _log_run(client, experiment_id, parent, None, [*((f, str(f)) for f in files), *own])
    pending.keep(parent, _link(uri, experiment_id, parent_id))
    for path, run in notes:
        run.tags |= said
        artifacts = [(Path(run.folder) / name, name) for name in run.artifacts]
        run_id = _log_run(client, experiment_id, run, parent_id, artifacts)
        pending.logged(path, run, _link(uri, experiment_id, run_id))


def _experiment(client: Any, uri: str) -> str:
    if (experiment := client.get_experiment_by_name(EXPERIMENT)) is not None:
        number = str(experiment.experiment_id)
        if experiment.lifecycle_stage == "deleted":
            raise UnreachableError(
                f"its experiment {EXPERIMENT} was deleted: `mlflow experiments restore --experiment-id {number}` brings"
                " it back"
            )
        return number
    local = (checkout() / ARTIFACTS).as_uri() if database_of(uri) is not None else None
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


def _log_run(
    client: Any, experiment_id: str, run: StageRun, parent_id: str | None, artifacts: Sequence[tuple[Path, str]]
) -> str:
    """``artifacts``: where each lies, and its name."""
    from mlflow.entities import Metric, Param

    started, ended = int(run.start * 1000), int(run.end * 1000)
    tags = run.tags if parent_id is None else {**run.tags, "mlflow.parentRunId": parent_id}
    created = client.create_run(
        experiment_id, started, tags, run_name=f"{run.name}{' (variant)' if 'variant' in run.tags else ''}"
    )
    run_id = str(created.info.run_id)
    curves = [*((name, [value]) for name, value in run.metrics.items()), *run.curves.items()]
    settings = list(_flat(run.params))
    client.log_batch(
        run_id,
        metrics=[
            Metric(key, float(v), ended, step)
            for key, vs in zip(_keys(name for name, _ in curves), (vs for _, vs in curves), strict=True)
            for step, v in enumerate(vs)
        ],
        params=[
            Param(key, str(value)[:5000])
            for key, value in zip(_keys(name for name, _ in settings), (v for _, v in settings), strict=True)
        ],
    )
    for path, name in dict.fromkeys(artifacts):
        if path.is_file():
            folder = Path(name).parent.as_posix()
            # params.yaml and dvc.lock hold what the user wrote.
            text = path.read_text(encoding="utf-8", errors="replace") if path.suffix in (".yaml", ".lock") else ""
            if (shown := without_secrets(text)) != text:
                client.log_text(run_id, shown, name)
                continue
            client.log_artifact(run_id, str(path), None if folder == "." else folder)
    client.set_terminated(run_id, status=run.status, end_time=ended)
    return run_id


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _keys(names: Iterable[str]) -> list[str]:
    """Names as MLflow allows them: letters, digits and _ - . / : only, short, no path that leads elsewhere, each once.

    A name that it refuses would keep its note, and all that come after it, from being logged for good.

    Examples
    --------
    >>> _keys(["a<", "a>", "../x", "a//b", ""])
    ['a_', 'a_.2', 'x', 'a/b', '_']
    """
    found: list[str] = []
    for name in names:
        parts = re.sub(r"[^\w./: -]", "_", name).split("/")
        key = "/".join(part for part in parts if part not in ("", ".", ".."))[:240] or "_"
        others = (f"{key}.{i}" for i in itertools.count(2))
        found.append(key if key not in found else next(k for k in others if k not in found))
    return found
