"""``aopc estimate``: how long an evaluation will take, and how much memory, from a short calibration.

Time is linear: for each image the loading, the prediction, the heatmaps and their drawing; for each image
and order of removal a fixed part; for each image, trajectory and step a forward pass or what stands
for it. `benchmarks/costs.py` shows how good that is.
"""

import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aopc.experiment.conditions import curves_under
from aopc.experiment.evaluate import PART_IMAGES, Evaluation
from aopc.experiment.explaining import explained
from aopc.experiment.subject import Subject
from aopc.measures.complexity import DEFAULT_RENDERING, complexity_columns
from aopc.perturbation.protocol import Protocol


@dataclass(frozen=True)
class CurveCost:
    """Seconds an image and order of removal, whatever the number of steps, and seconds a trajectory and step."""

    per_order: float
    per_forward: float

    def seconds(self, images: int, protocol: Protocol, explainers: Sequence[str]) -> float:
        """Of all curves of so many images."""
        orders = sum(len(protocol.orders_of(e)) for e in explainers)
        return images * self.per_order * orders + self.per_forward * forwards(images, protocol, explainers)


def forwards(images: int, protocol: Protocol, explainers: Sequence[str]) -> int:
    """Perturbed images that the network is asked about."""
    return images * protocol.steps * sum(protocol.trajectories(e) for e in explainers)


def calibrate_curves(subject: Subject, protocol: Protocol, seconds: float = 6.0) -> CurveCost:
    """Measure the cost of curves on the subject's images, with fewer steps than the protocol has.

    Runs with two different numbers of steps tell the fixed part from the forward passes; the second
    number is doubled until a run lasts a third of ``seconds``. Where the longer run was not the slower
    one, the job is too small to be timed, and its whole time is taken for that of the forward passes.
    """
    # As many repeats as tell what one costs.
    protocol = replace(protocol, repeats=min(protocol.repeats, 10))
    whole = slice(0, len(subject.ids))
    maps = {"": subject.pixels(whole).sum(dim=1).numpy()}

    def run(steps: int) -> float:
        started = time.perf_counter()
        few = replace(protocol, steps=steps, orders=("morf",))
        curves_under(few, subject, whole, [""], maps)
        return time.perf_counter() - started

    run(1)  # what happens once a process
    short = max(1, min(2, protocol.steps // 2))
    fixed, steps = min(run(short), run(short)), min(2 * short, protocol.steps)
    while (lasted := run(steps)) < seconds / 3 and steps < protocol.steps:
        steps = min(2 * steps, protocol.steps)
    images = len(subject.ids)
    of_a_step = images * protocol.repeats
    if steps == short or lasted <= fixed:
        return CurveCost(0.0, lasted / (steps * of_a_step))
    per_step = (lasted - fixed) / (steps - short)
    return CurveCost(max(0.0, fixed - short * per_step) / images, per_step / of_a_step)


@dataclass(frozen=True)
class Estimate:
    """How many images and forward passes a job has, its seconds by part of the work, and the peak of memory in the
    calibration, which holds as many images as the job does at once.
    """

    images: int
    forwards: int
    seconds: Mapping[str, float]
    memory_mb: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def text(self) -> str:
        """For the terminal."""
        lines = [
            f"{self.images} images, {self.forwards / 1e6:.3g} million forward passes, or what stands for"
            f" them, at {self.forwards / max(self.seconds['curves'], 1e-9):.0f} a second"
        ]
        lines += [f"  {name}: {duration(spent)}" for name, spent in self.seconds.items()]
        lines += [
            f"in all: {duration(self.total)}, after some seconds to start",
            f"memory: {self.memory_mb:.0f} MB, and what the statistics at the end take",
        ]
        return "\n".join(lines)


def estimate(evaluation: Evaluation, seconds: float = 6.0) -> Estimate:
    """Calibrate on the first images, as many as an evaluation has in memory at once; errors as of
    :func:`aopc.experiment.evaluate.evaluate` on these.
    """
    evaluation.check()
    ids, names = evaluation.image_ids[:PART_IMAGES], evaluation.names
    count, few = len(evaluation.image_ids), slice(0, min(4, len(ids)))
    spent: dict[str, float] = {}
    evaluation.subject(ids[:1])  # what happens once a process
    with _timed(spent, "reading images and predictions", len(ids)):
        subject = evaluation.subject(ids)
    explained(subject, slice(0, 1), names)
    with _timed(spent, "heatmaps", few.stop):
        maps = explained(subject, few, names)
    with _timed(spent, "entropy and file sizes", few.stop):
        for name in names:
            complexity_columns(name, maps[name], subject.ids[few], DEFAULT_RENDERING)
    curves = calibrate_curves(subject, evaluation.protocol, seconds)
    conditions = evaluation.job(subject).conditions
    judged = [(c.of(evaluation.protocol), explainers) for c, explainers in conditions]
    return Estimate(
        images=count,
        forwards=sum(forwards(count, protocol, explainers) for protocol, explainers in judged),
        seconds={name: count * each for name, each in spent.items()}
        | {"curves": sum(curves.seconds(count, p, explainers) for p, explainers in judged)},
        memory_mb=_peak_mb(),
    )


@contextmanager
def _timed(spent: dict[str, float], what: str, images: int) -> Iterator[None]:
    """Seconds an image."""
    started = time.perf_counter()
    yield
    spent[what] = (time.perf_counter() - started) / images


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def duration(seconds: float) -> str:
    """In a unit that suits.

    Examples
    --------
    >>> duration(0.5), duration(90), duration(7200), duration(400_000)
    ('0.5 seconds', '1.5 minutes', '2.0 hours', '4.6 days')
    """
    hours = seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if seconds >= 60 else f"{seconds:.1f} seconds"
