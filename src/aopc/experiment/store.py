"""Result files of an experiment: curves as tidy tables, and which of them are still right."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import DamagedError
from aopc.base.files import concatenated, is_temporary, is_whole, origin_of, read_table, write_record
from aopc.base.parts import forget
from aopc.experiment.executors import Executor
from aopc.experiment.run import Unit, Work, run
from aopc.perturbation.curves import Curves, CurvesByOrder

CURVES, HEATMAPS, COMPLEXITY = "curves.parquet", "heatmaps.npy", "complexity.parquet"


def curve_columns(curves: CurvesByOrder) -> dict[str, NDArray[Any]]:
    """Curves as a tidy table, one row an order × image × trajectory.

    Columns: order, image, target, trajectory, logits and probabilities (lists of L + 1 float32).
    """
    tables = []
    for order, found in curves.items():
        images, trajectories, points = found.logits.shape
        tables.append(
            {
                "order": np.full(images * trajectories, order, dtype=object),
                "image": np.repeat(np.array(found.image_ids, dtype=object), trajectories),
                "target": np.repeat(found.targets, trajectories),
                "trajectory": np.tile(np.arange(trajectories), images),
                "logits": found.logits.reshape(-1, points),
                "probabilities": found.probabilities.reshape(-1, points),
            }
        )
    return concatenated(tables)


def read_curves(*paths: Path) -> CurvesByOrder:
    """Read tables of :func:`curve_columns`; several files are the parts of one set of images."""
    table = concatenated([read_table(path) for path in paths])
    curves: CurvesByOrder = {}
    for order in dict.fromkeys(table["order"].tolist()):
        rows = table["order"] == order
        trajectories = int(table["trajectory"][rows].max()) + 1
        shape = (-1, trajectories, table["logits"].shape[1])
        curves[order] = Curves(
            logits=table["logits"][rows].reshape(shape),
            probabilities=table["probabilities"][rows].reshape(shape),
            targets=table["target"][rows][::trajectories],
            image_ids=tuple(table["image"][rows][::trajectories].tolist()),
        )
    return curves


def read_mean_curves(*paths: Path) -> CurvesByOrder:
    """As :func:`read_curves`, each image's trajectories averaged, part by part."""
    parts = [{o: c.averaged() for o, c in read_curves(path).items()} for path in paths]
    return {order: Curves.of_images([p[order] for p in parts]) for order in parts[0]}


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove what an earlier run left in the folder of settings now gone; what is not ours stays, which is said."""
    wanted = set(names)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in wanted:
            for left in _remove_ours(path):
                print(f"aopc: {left} is left alone: no file that aopc wrote there", file=sys.stderr)


def _remove_ours(path: Path) -> list[Path]:
    """Remove a file that carries our seal, or all such in a folder, and the folder when it is empty; returns what is
    left.
    """
    if path.is_symlink():
        return [path]
    if path.is_dir():
        left = [other for below in sorted(path.iterdir()) for other in _remove_ours(below)]
        if not left:
            path.rmdir()
        return left
    try:
        if not is_temporary(path):
            origin_of(path)
    except DamagedError:
        return [path]
    path.unlink()
    return []


def identity_of(path: Path) -> str | None:
    """The identity of what a file holds; None if it is not there or not whole, the latter of which is said.

    It lies in the file itself, and of an array in ``about.json`` beside it, too.
    """
    about = _about(path)
    if not is_whole(path) or (path.suffix != ".parquet" and not is_whole(about)):
        return None
    found = origin_of(path).get("identity")
    beside = found if path.suffix == ".parquet" else origin_of(about).get("identity")
    return found if found == beside else None


def _about(path: Path) -> Path:
    return path.with_name("about.json")


def renew(
    work: Work,
    product: str,
    place: Callable[[Unit], Path],
    origin: Callable[[Unit], Mapping[str, Any]],
    cache: Path,
    executor: Executor | None = None,
) -> list[Unit]:
    """Bring the files of all units up to date: those whose identity is the same are kept.

    ``product`` is which of the work's products, ``place`` where a unit's file lies, ``origin`` what the file says about
    itself, beside its identity (of an array it is asked once that is written); ``cache`` and ``executor`` as of
    :func:`run`. Returns the units that were computed.
    """
    identities = {unit: work.identity(unit) for unit in work.units}
    missing = [u for u, i in identities.items() if identity_of(place(u)) != i]
    for unit in identities.keys() - set(missing):
        forget(cache, identities[unit])
    if not missing:
        return []
    with run(work, cache, units=missing, executor=executor) as done:
        for unit in missing:
            path, identity = place(unit), {"identity": identities[unit]}
            if path.suffix == ".parquet":
                done.join(unit, product, path, {**origin(unit), **identity})
                continue
            done.join(unit, product, path, identity)
            write_record(_about(path), {**origin(unit), **identity})
    return missing
