"""``aopc evaluate``: the paper's protocol on a folder of images and a torchvision network."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aopc.datasets.folder import ImageFolder
from aopc.errors import InputError
from aopc.explainers import RANDOM, get_explainer, heatmaps_of, listed
from aopc.figures.figure4 import draw_figure4
from aopc.figures.style import save_figure
from aopc.measures.complexity import DEFAULT_RENDERING, complexity_columns
from aopc.measures.curves import aopc_curves
from aopc.measures.precision import StoppingRule
from aopc.measures.summary import Panel, write_panels
from aopc.models.inference import predict
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.regions import Grid
from aopc.progress import Progress, progress_bar
from aopc.protocol import CurvesByOrder, Protocol, curves_of, read_mean_curves, write_curves
from aopc.registry import source_hash
from aopc.shards import shards
from aopc.streams import Stream
from aopc.tables import (
    concatenated,
    file_hash,
    join_arrays,
    join_tables,
    metadata,
    read_table,
    write_array,
    write_table,
)

#: Images that are in memory at once.
PART_IMAGES = 20


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate on what.

    Attributes
    ----------
    name
        What the data set is called in the results.
    folder
        The images.
    model
        A classifier on the device to use.
    preprocessing
        From an image to the model's input.
    class_ids
        Class ids in the order of the model's outputs, None if unknown.
    explainers
        Names or dotted paths; the random baseline is added.
    protocol
        The settings of region perturbation.
    origin
        What else determines the result, for the result files: architecture, weights' hash, …
    batch_size
        Images a forward pass; None: chosen by network, image size and device.
    precision
        Stop as soon as every explainer's AOPC relative to random is known to within ± so much; None:
        evaluate all images. Images are then taken in random order, and the rule is
        :class:`aopc.measures.precision.StoppingRule`.
    """

    name: str
    folder: ImageFolder
    model: nn.Module
    preprocessing: Preprocessing
    class_ids: list[str] | None
    explainers: Sequence[str]
    protocol: Protocol
    origin: dict[str, Any]
    batch_size: int | None = None
    precision: float | None = None

    @property
    def names(self) -> list[str]:
        """The explainers, each once, the random baseline last."""
        return [e for e in dict.fromkeys(self.explainers) if e != RANDOM] + [RANDOM]

    @property
    def image_ids(self) -> list[str]:
        """In the order of work."""
        ids = list(self.folder.ids)
        if self.precision is None:
            return ids
        return [ids[i] for i in Stream(self.protocol.seed, "precision").permutation(len(ids))]

    def input(self, image_ids: Sequence[str]) -> Tensor:
        """Images in the model's input space, (N, C, H, W)."""
        return torch.stack([self.preprocessing(self.folder.load(i)) for i in image_ids])


@dataclass(frozen=True)
class Outcome:
    """The results, what the user should know about them, and the accuracy where labels are known."""

    panel: Panel
    warnings: list[str]
    accuracy: float | None


def evaluate(job: Evaluation, out: Path) -> Outcome:
    """Run the protocol and write ``metrics.json``, the tables and the Figure 4 plot to ``out``.

    The work is done in parts of :data:`PART_IMAGES` images; after a kill a second call goes on
    where the first one was. ``out`` is written at the end, as a whole; results of an earlier run
    in it are replaced.

    Raises
    ------
    InputError
        For any bad input; nothing is left behind then.
    """
    for name in job.names:
        get_explainer(name)
    out = out.resolve()
    _check_output(out)
    if job.precision is not None and job.names == [RANDOM]:
        raise InputError("a precision is of explainers relative to random: name one beside random")
    rule = None if job.precision is None else StoppingRule(job.precision, every=PART_IMAGES)
    ids = job.image_ids
    parts = [ids[i : i + PART_IMAGES] for i in range(0, len(ids), PART_IMAGES)]
    targets = _predictions(job, parts)
    origin = {
        **job.origin,
        "images": {i: file_hash(job.folder.root / i) for i in ids},
        "preprocessing": repr(job.preprocessing),
        "protocol": job.protocol.as_parameters(),
        "precision": job.precision,
        "explainers": {name: source_hash(name) for name in job.names},
        "removal": source_hash(job.protocol.removal),
    }
    cache = out.with_name(f"{out.name}.partial")
    try:
        with (
            shards(cache, origin) as shard,
            progress_bar(len(ids), job.name) as progress,
        ):
            folders: dict[str, list[Path]] = {name: [] for name in job.names}
            differences: list[np.ndarray] = []
            for number, part in enumerate(parts):
                keys = {name: f"{number:05d}-{name}" for name in job.names}
                wanted = [name for name, key in keys.items() if key not in shard]
                work = _Part(job, part, targets[number], wanted, progress)
                for name, key in keys.items():
                    folders[name].append(shard(key, partial(work.write, name, metadata(origin))))
                if rule is not None:
                    differences.append(_differences(job, {n: f[-1:] for n, f in folders.items()}))
                    if rule.is_met(np.concatenate(differences)):
                        break
            done = number + 1
            panel, unknown = _panel(job, folders), _unknown(job, rule, differences)
            _write(panel, job, folders, metadata(origin), out)
    finally:
        _remove_if_done(cache)
    accuracy = _accuracy(job, parts[:done], np.concatenate(targets[:done]))
    return Outcome(panel, [*unknown, *_warnings(panel)], accuracy)


def _differences(job: Evaluation, folders: dict[str, list[Path]]) -> np.ndarray:
    """(n, E): AOPC relative to random of each image done, by explainer."""
    found = {
        name: aopc_curves(next(iter(_curves(files).values())))[:, -1]
        for name, files in folders.items()
    }
    return np.stack([found[name] - found[RANDOM] for name in job.names if name != RANDOM], axis=1)


def _curves(folders: Sequence[Path]) -> CurvesByOrder:
    return read_mean_curves(*(folder / "curves.parquet" for folder in folders))


def _unknown(
    job: Evaluation, rule: StoppingRule | None, differences: list[np.ndarray]
) -> list[str]:
    """What to say if the images were too few for the precision."""
    if rule is None or rule.is_met(np.concatenate(differences)):
        return []
    reached = float(rule.half_widths(np.concatenate(differences)).max())
    return [
        f"all {len(job.folder.ids)} images were evaluated without a stop: relative to random, AOPC is"
        f" known to within ±{reached:.3g}, and ±{rule.precision:g} on {rule.least} images or more was"
        " wanted"
    ]


def _predictions(job: Evaluation, parts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """The predicted classes of each part. Any unreadable image or unfit model shows here, early."""
    targets: list[np.ndarray] = []
    with progress_bar(len(job.folder.ids), "predict") as progress:
        for part in parts:
            images = job.input(part)
            if not targets:
                grid = Grid(images.shape[2], images.shape[3], job.protocol.region_size)
                grid.check_steps(job.protocol.steps)
            scores = _scores(job, images, part)
            if job.class_ids is not None and len(job.class_ids) != scores.shape[1]:
                raise InputError(
                    f"the class list has {len(job.class_ids)} classes, but the model has"
                    f" {scores.shape[1]} outputs: give the list that belongs to the weights"
                )
            targets.append(scores.argmax(axis=1))
            progress(len(part))
    return targets


def _scores(job: Evaluation, images: Tensor, part: Sequence[str]) -> np.ndarray:
    try:
        return predict(job.model, images, image_ids=part, batch_size=job.batch_size)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise InputError(
            f"the model cannot take images of shape {tuple(images.shape[1:])}: check --preprocessing"
            f" ({str(error).splitlines()[0]})"
        ) from error


class _Part:
    """The results of some explainers on a part of the images."""

    def __init__(
        self,
        job: Evaluation,
        ids: Sequence[str],
        targets: np.ndarray,
        explainers: Sequence[str],
        progress: Progress,
    ) -> None:
        self._ids = ids
        self._maps: dict[str, np.ndarray] = {}
        self._curves: dict[str, CurvesByOrder] = {}
        if not explainers:
            progress(len(ids))
            return
        images = job.input(ids)
        self._maps = heatmaps_of(
            job.model,
            images,
            explainers,
            targets,
            image_ids=ids,
            batch_size=job.batch_size,
            allow_nonfinite=True,
        )
        self._curves = curves_of(
            self._maps,
            job.model,
            images,
            targets,
            ids,
            job.protocol,
            job.preprocessing.value_range,
            progress,
            job.batch_size,
        )

    def write(self, explainer: str, origin: dict[str, Any], folder: Path) -> None:
        """Write one explainer's results to a folder."""
        maps = self._maps[explainer]
        complexity = complexity_columns(explainer, maps, self._ids, DEFAULT_RENDERING)
        write_curves(folder / "curves.parquet", self._curves[explainer], origin)
        write_table(folder / "complexity.parquet", complexity, origin)
        write_array(folder / "heatmaps.npy", maps)


def _panel(job: Evaluation, folders: dict[str, list[Path]]) -> Panel:
    curves = {n: _curves(fs) for n, fs in folders.items()}
    tables = [read_table(f / "complexity.parquet") for fs in folders.values() for f in fs]
    return Panel(job.name, curves, concatenated(tables), job.protocol.seed)


def _write(
    panel: Panel,
    job: Evaluation,
    folders: dict[str, list[Path]],
    origin: dict[str, Any],
    out: Path,
) -> None:
    folder = out.with_name(f".{out.name}.new")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _write_to(folder, panel, job, folders, origin)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_output(out: Path) -> None:
    """Results replace a folder as a whole, so it must be theirs."""
    occupied = out.is_dir() and any(out.iterdir()) and not (out / "metrics.json").is_file()
    if occupied or out.is_file() or any(parent.is_file() for parent in out.parents):
        raise InputError(
            f"{out} is no folder of results: give a new folder, or that of an earlier run, for --out"
        )


def _write_to(
    out: Path,
    panel: Panel,
    job: Evaluation,
    folders: dict[str, list[Path]],
    origin: dict[str, Any],
) -> None:
    for name, parts in folders.items():
        stem = name.replace(":", "-")
        join_tables(
            out / "curves" / f"{stem}.parquet", [f / "curves.parquet" for f in parts], origin
        )
        join_arrays(out / "heatmaps" / f"{stem}.npy", [f / "heatmaps.npy" for f in parts])
    write_table(out / "complexity.parquet", panel.complexity, origin)
    table = write_panels([panel], out)
    save_figure(draw_figure4(table, panel_titles={panel.name: panel.name}), out / "figure4")


def _warnings(panel: Panel) -> list[str]:
    found = []
    for name in panel.explainers:
        rows = panel.complexity["explainer"] == name
        images = panel.complexity["image"][rows]
        for kind, meaning in (
            ("zero", "are zero everywhere: they rank nothing, and their order is random"),
            ("nonfinite", "are not finite: they are left out of the means"),
        ):
            flags = panel.complexity[kind][rows].astype(bool)
            if flags.any():
                affected = listed(images[flags].tolist())
                found.append(
                    f"{flags.sum()} of {len(images)} heatmaps of {name} {meaning} ({affected})"
                )
    return found


def _accuracy(
    job: Evaluation, parts: Sequence[Sequence[str]], predicted: np.ndarray
) -> float | None:
    labels = job.folder.labels(job.class_ids) if job.class_ids is not None else None
    if labels is None:
        return None
    by_image = dict(zip(job.folder.ids, labels, strict=True))
    return float((predicted == np.array([by_image[i] for part in parts for i in part])).mean())


def _remove_if_done(cache: Path) -> None:
    """Remove the folder of parts unless an interruption left parts in it."""
    if cache.is_dir() and all(p.suffix == ".lock" for p in cache.iterdir()):
        shutil.rmtree(cache, ignore_errors=True)
