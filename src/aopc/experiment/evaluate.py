"""The user's evaluation: a folder of images and a network, judged by the paper's protocol."""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError, warned
from aopc.base.files import concatenated, is_temporary, read_table, write_csv, write_table
from aopc.base.progress import progress_bar
from aopc.base.provenance import identity_hash, metadata, packages_of, source_hash
from aopc.base.random import Stream
from aopc.data.dataset import Dataset, named_frame
from aopc.data.folder import ImageFolder, content_hash
from aopc.experiment.job import Job
from aopc.experiment.output import Output, output, parts_folder
from aopc.experiment.results import (
    Outcome,
    condition_rows,
    rows_as_columns,
    warnings_of,
    write_summaries,
)
from aopc.experiment.run import Done, Unit, run, slices
from aopc.experiment.store import COMPLEXITY, CURVES, HEATMAPS, read_mean_curves
from aopc.experiment.subject import Subject
from aopc.experiment.writable import require_writable
from aopc.explainers.registry import get_explainers
from aopc.figures.figure4 import draw_figure4
from aopc.figures.style import save_figure
from aopc.measures.aopc import aopc_curves
from aopc.measures.chance import no_better_than_chance
from aopc.measures.statistics.stopping import StoppingRule
from aopc.measures.summary import Summary
from aopc.models.dropout import has_dropout
from aopc.models.inference import predict
from aopc.models.network import Network
from aopc.models.outputs import require_classes, warn_of
from aopc.perturbation.curves import Curves, CurvesByOrder
from aopc.perturbation.order import RANDOM
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import MAIN, Condition, Protocol

#: Images that are in memory at once: as many as a tolerance is asked after, so that a run with one computes
#: the same parts as a run without.
PART_IMAGES = StoppingRule.every
#: The names of what is kept during the work begin or end with one.
_HASH = "[0-9a-f]{32}"


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate on what.

    Attributes
    ----------
    name, folder
        What the data set is called in the results, and its images.
    network
        On the device to use; its class names are those of the images' folders, None if unknown.
    explainers, protocol, conditions
        Names or dotted paths, to which the random baseline is added; how they are judged; and under what else.
    batch_size
        Images a forward pass; None: chosen by network, image size and device.
    tolerance
        Stop as soon as every explainer's AOPC relative to random is known to within ± so much; None:
        evaluate all images. Images are then taken in random order, and the rule is
        :class:`aopc.measures.statistics.stopping.StoppingRule`.
    """

    name: str
    folder: ImageFolder
    network: Network
    explainers: Sequence[str]
    protocol: Protocol
    conditions: Sequence[Condition] = ()
    batch_size: int | None = None
    tolerance: float | None = None

    @property
    def names(self) -> list[str]:
        """The explainers, each once, the random baseline last."""
        return [e for e in dict.fromkeys(self.explainers) if e != RANDOM] + [RANDOM]

    @property
    def image_ids(self) -> list[str]:
        """In the order of work."""
        ids = list(self.folder.ids)
        if self.tolerance is None:
            return ids
        return [ids[i] for i in Stream(self.protocol.seed, "precision").permutation(len(ids))]

    def check(self) -> None:
        """What can be known before any work.

        Raises
        ------
        InputError
            If an explainer or a condition is impossible, two explainers are the same, or there are more steps than regions.
        """
        if not isinstance(self.protocol.removal, str):
            raise InputError("name the removal, or give its place as package.module:function")
        get_explainers(self.names)
        self._labels(self.folder)
        if self.names == [RANDOM]:
            raise InputError(f"name one beside {RANDOM}, which all explainers are compared with")
        for condition in self.conditions:
            if condition.name == MAIN:
                raise InputError(f"the condition {MAIN!r} is the main experiment itself")
            if condition.of(self.protocol).dropout and not has_dropout(self.network.model):
                raise InputError("this model has no dropout layers: leave out the condition dropout")
        name = self.folder.ids[0]
        first = named_frame(self.network.preprocessing.frame, self.folder.load(name), name)
        height, width = first.shape[:2]
        Grid(height, width, self.protocol.region_size).check_steps(self.protocol.steps)

    def subject(self, image_ids: Sequence[str], inputs: Sequence[str] = (), frames: Path | None = None) -> Subject:
        """Some of the images with the network's predictions. Any unreadable image or unfit model shows here.

        ``inputs`` are as of :class:`Subject`; frames are kept in the file ``frames``, or in memory.
        """
        folder = self.folder.take(image_ids)
        labels, names = self._labels(folder), self.network.class_names
        images = Dataset(folder, labels, folder.ids, names or ())
        images = self.network.preprocessing.framed(images, frames).distinct(self.name)
        none = np.zeros(0, dtype=np.int64)
        subject = Subject(self.name, self.network, images, none, inputs, self.batch_size)
        targets, doubts, classes = [], [], 0
        with progress_bar(len(images), "predict") as progress:
            for rows in slices(len(images), PART_IMAGES):
                scores = self._scores(subject, rows)
                targets.append(scores.argmax(axis=1))
                doubts += [warn_of(self.network.model, scores)]
                classes = scores.shape[1]
                progress(rows.stop - rows.start)
        found = np.concatenate(targets)
        if labels is not None:
            doubts.append(warned(no_better_than_chance(int((found == labels).sum()), len(found), classes)))
        return replace(subject, targets=found, doubts=[*dict.fromkeys(d for d in doubts if d is not None)])

    def described(self) -> str:
        """The images, what is left out of their folder, and whether their classes are known."""
        said = self.folder.described()
        if self.network.class_names is None or self._labels(self.folder) is not None:
            return said
        return f"{said}; no accuracy: no folder of images is called as a class of the list"

    def _labels(self, folder: ImageFolder) -> NDArray[np.int64] | None:
        names = self.network.class_names
        labels = folder.labels(list(names)) if names is not None else None
        return None if labels is None else np.array(labels, dtype=np.int64)

    def _scores(self, subject: Subject, rows: slice) -> NDArray[np.float32]:
        images = subject.pixels(rows)
        scores = predict(self.network.model, images, image_ids=subject.ids[rows], batch_size=self.batch_size)
        require_classes(scores)
        names = self.network.class_names
        if names is not None and len(names) != scores.shape[1]:
            raise InputError(
                f"the class list has {len(names)} classes, but the model has {scores.shape[1]} outputs:"
                " give the list that belongs to the weights"
            )
        return scores

    @property
    def judged(self) -> list[tuple[Condition, Sequence[str]]]:
        """The main experiment, and the other conditions, each with the explainers that it concerns."""
        named = {c.name: c for c in self.conditions if c.name != MAIN}
        return [(Condition(MAIN), self.names), *((c, c.explainers(self.names)) for c in named.values())]

    def job(self, subject: Subject) -> Job:
        """All that is judged, on a subject."""
        return Job(subject, self.protocol, self.judged, PART_IMAGES, keep=(HEATMAPS, COMPLEXITY))

    def used(self) -> dict[str, Any]:
        """All that determines the results, for the result files."""
        removals = [self.protocol.removal, *(c.of(self.protocol).removal for c in self.conditions)]
        return {
            **self.network.origin,
            "preprocessing": repr(self.network.preprocessing),
            "output": self.network.output,
            "protocol": self.protocol.as_parameters(),
            "tolerance": self.tolerance,
            "explainers": {name: source_hash(name) for name in self.names},
            "removals": {str(removal): source_hash(removal) for removal in removals},
            "packages": packages_of(*self.names, *removals),
            "images": {i: content_hash(self.folder.read(i)) for i in self.image_ids},
        }


def evaluate(evaluation: Evaluation, out: Path) -> Outcome:
    """Run the protocol and write ``metrics.json``, the tables and the Figure 4 plot to ``out``.

    After a kill a second call goes on where the first one was (parts of :data:`PART_IMAGES` images). ``out`` is written
    at the end, as a whole; results of an earlier run in it are replaced, and nothing else ever is
    (:mod:`aopc.experiment.output`). Any bad input is an InputError, and nothing is left behind then.
    """
    rule = None if evaluation.tolerance is None else StoppingRule(evaluation.tolerance)
    require_writable(out.absolute())
    with output(out, evaluation.folder.root) as folder:
        evaluation.check()
        print(f"{evaluation.name}: {evaluation.described()}", file=sys.stderr)
        return _evaluated(evaluation, rule, folder)


def _evaluated(evaluation: Evaluation, rule: StoppingRule | None, out: Output) -> Outcome:
    used = evaluation.used()
    origin, inputs = metadata(used, __name__), [json.dumps(used, default=str)]
    cache = parts_folder(out.path)
    try:
        frames = cache / f"frames-{identity_hash(used, 'aopc.models.preprocessing')}.npy"
        job = evaluation.job(evaluation.subject(evaluation.image_ids, inputs, frames))
        precision = _Precision(evaluation.names, rule)
        with run(job, cache, until=precision.is_enough) as done:
            outcome = _outcome(evaluation, job, done, precision)
            about = {"images": evaluation.described(), "left_out": dict(evaluation.folder.left_out)}
            out.write(lambda folder: _write(folder, outcome, job, done, origin), about)
    finally:
        _remove_if_done(cache)
    return outcome


class _Precision:
    """How precisely AOPC relative to random is known after each part, and whether that is enough."""

    def __init__(self, explainers: Sequence[str], rule: StoppingRule | None) -> None:
        self._explainers, self._rule = explainers, rule
        self._differences: list[NDArray[np.float64]] = []

    def is_enough(self, done: Done) -> bool:
        if self._rule is None:
            return False
        found = {
            e: aopc_curves(_own(read_mean_curves(done.folders[Unit(e)][-1] / CURVES)))[:, -1] for e in self._explainers
        }
        differences = [found[e] - found[RANDOM] for e in self._explainers if e != RANDOM]
        self._differences.append(np.stack(differences, axis=1))
        return self._rule.is_met(np.concatenate(self._differences))

    def missed(self, images: int) -> list[str]:
        """What to say if all images were too few."""
        if self._rule is None or self._rule.is_met(np.concatenate(self._differences)):
            return []
        reached = float(self._rule.half_widths(np.concatenate(self._differences)).max())
        return [
            f"all {images} images were evaluated without a stop: relative to random, AOPC is known to"
            f" within ±{reached:.3g}, and ±{self._rule.tolerance:g} on {self._rule.least} images or"
            " more was wanted"
        ]


def _own(curves: CurvesByOrder) -> Curves:
    return next(iter(curves.values()))


def _files(done: Done, unit: Unit, name: str) -> list[Path]:
    return [folder / name for folder in done.folders[unit]]


def _outcome(evaluation: Evaluation, job: Job, done: Done, precision: _Precision) -> Outcome:
    names, seed = evaluation.names, evaluation.protocol.seed
    main = {e: read_mean_curves(*_files(done, Unit(e), CURVES)) for e in names}
    tables = [read_table(f) for e in names for f in _files(done, Unit(e), COMPLEXITY)]
    summary = Summary(evaluation.name, main, concatenated(tables), seed)
    curves = {
        condition.name: {e: read_mean_curves(*_files(done, Unit(e, condition.name), CURVES)) for e in explainers}
        for condition, explainers in job.conditions[1:]
    }
    labels, targets = job.subject.images.labels, job.subject.targets
    accuracy = None
    if labels is not None:
        accuracy = float((targets[: done.images] == labels[: done.images]).mean())
    warnings = [*job.subject.doubts, *precision.missed(len(job.subject.ids)), *warnings_of(summary)]
    return Outcome(summary, warnings, accuracy, condition_rows(curves, seed))


def _write(out: Path, outcome: Outcome, job: Job, done: Done, origin: dict[str, Any]) -> None:
    for unit in job.units:
        stem = unit.explainer.replace(":", "-")
        if unit.condition == MAIN:
            done.join(unit, CURVES, out / "curves" / f"{stem}.parquet", origin)
            done.join(unit, HEATMAPS, out / "heatmaps" / f"{stem}.npy", origin)
        else:
            folder = out / "conditions" / unit.condition.replace(":", "-")
            done.join(unit, CURVES, folder / f"{stem}.parquet", origin)
    summary = outcome.summary
    if outcome.warnings:
        (out / "warnings.txt").write_text("\n".join(outcome.warnings) + "\n", encoding="utf-8")
    write_table(out / "complexity.parquet", summary.complexity, origin)
    if outcome.conditions:
        write_csv(out / "conditions.csv", rows_as_columns(outcome.conditions))
    table = write_summaries([summary], out)
    save_figure(draw_figure4(table, panel_titles={summary.name: summary.name}), out / "figure4")


def _remove_if_done(cache: Path) -> None:
    """Remove the folder of parts, unless an interruption left parts in it; what is not ours stays."""
    inside = list(cache.iterdir()) if cache.is_dir() else []
    if not inside or any(path.is_dir() and re.fullmatch(_HASH, path.name) for path in inside):
        return
    for path in inside:
        if re.fullmatch(rf"{_HASH}\.lock|frames-{_HASH}\.npy", path.name) or is_temporary(path):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # something of the user's is in it
        cache.rmdir()
