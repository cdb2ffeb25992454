"""``aopc estimate``: how long an evaluation will take, and how much memory, from a short calibration.

Time is linear: for each image the loading, the prediction, the heatmaps and their drawing; for each image
and order of removal a fixed part; for each image, trajectory and step a forward pass or what stands
for it. `benchmarks/costs.py` shows how good that is.
"""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

from aopc.evaluate import PART_IMAGES, Evaluation
from aopc.explainers import RANDOM, heatmaps_of
from aopc.measures.complexity import DEFAULT_RENDERING, complexity_columns
from aopc.models.inference import predict
from aopc.perturbation.regions import trajectories_at_random
from aopc.perturbation.removal import ValueRange
from aopc.protocol import Protocol, curves_of


@dataclass(frozen=True)
class CurveCost:
    """What curves cost.

    Attributes
    ----------
    per_order
        Seconds an image and order of removal, whatever the number of steps.
    per_forward
        Seconds a trajectory and step.
    """

    per_order: float
    per_forward: float

    def seconds(self, images: int, protocol: Protocol, explainers: Sequence[str]) -> float:
        """Of all curves of so many images."""
        orders = sum(len(protocol.orders_of(e)) for e in explainers)
        return images * self.per_order * orders + self.per_forward * forwards(
            images, protocol, explainers
        )


def trajectories(protocol: Protocol, explainer: str) -> int:
    """How many an image has for one explainer."""
    repeats = protocol.repeats
    if explainer == RANDOM:
        return trajectories_at_random(max(protocol.random_orders, repeats), repeats)
    return repeats * len(protocol.orders_of(explainer))


def forwards(images: int, protocol: Protocol, explainers: Sequence[str]) -> int:
    """Perturbed images that the network is asked about."""
    return images * protocol.steps * sum(trajectories(protocol, e) for e in explainers)


def calibrate_curves(
    model: nn.Module,
    images: Tensor,
    protocol: Protocol,
    value_range: ValueRange,
    *,
    batch_size: int | None = None,
    seconds: float = 6.0,
) -> CurveCost:
    """Measure the cost of curves on some images, with fewer steps than the protocol has.

    Runs with two different numbers of steps tell the fixed part from the forward passes; the second
    number is doubled until a run lasts a third of ``seconds``. Where the longer run was not the slower
    one, the job is too small to be timed, and its whole time is taken for that of the forward passes.
    """
    ids = [str(i) for i in range(len(images))]
    targets = np.zeros(len(images), dtype=np.int64)
    maps = {"": images.sum(dim=1).float().cpu().numpy()}

    def run(steps: int) -> float:
        started = time.perf_counter()
        few = replace(protocol, steps=steps, orders=("morf",))
        curves_of(maps, model, images, targets, ids, few, value_range, batch_size=batch_size)
        return time.perf_counter() - started

    run(1)  # what happens once a process
    short = max(1, min(2, protocol.steps // 2))
    fixed, steps = min(run(short), run(short)), min(2 * short, protocol.steps)
    while (lasted := run(steps)) < seconds / 3 and steps < protocol.steps:
        steps = min(2 * steps, protocol.steps)
    of_a_step = len(images) * protocol.repeats
    if steps == short or lasted <= fixed:
        return CurveCost(0.0, lasted / (steps * of_a_step))
    per_step = (lasted - fixed) / (steps - short)
    return CurveCost(max(0.0, fixed - short * per_step) / len(images), per_step / of_a_step)


@dataclass(frozen=True)
class Estimate:
    """Seconds for a job, by what they are spent on, and the memory it takes.

    Attributes
    ----------
    images, forwards
        How many.
    seconds
        Part of the work → seconds.
    memory_mb
        Peak of this process in the calibration, which holds as many images as the job does at once.
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


def estimate(job: Evaluation, seconds: float = 6.0) -> Estimate:
    """Calibrate on the job's first images, as many as the job has in memory at once.

    Raises
    ------
    InputError
        As :func:`aopc.evaluate.evaluate` would for these images.
    """
    ids = job.image_ids[:PART_IMAGES]
    count = len(job.image_ids)
    spent: dict[str, float] = {}
    started = time.perf_counter()
    images = job.input(ids)
    # Once for the predictions and once for the curves.
    spent["reading images"] = 2 * (time.perf_counter() - started) / len(ids)
    few = ids[:4]
    predict(job.model, images[:1], image_ids=few[:1], batch_size=job.batch_size)
    started = time.perf_counter()
    scores = predict(job.model, images[: len(few)], image_ids=few, batch_size=job.batch_size)
    spent["predictions"] = (time.perf_counter() - started) / len(few)
    heatmaps_of(job.model, images[:1], job.names, scores[:1].argmax(axis=1), allow_nonfinite=True)
    started = time.perf_counter()
    maps = heatmaps_of(
        job.model, images[: len(few)], job.names, scores.argmax(axis=1), image_ids=few,
        batch_size=job.batch_size, allow_nonfinite=True,
    )  # fmt: skip
    spent["heatmaps"] = (time.perf_counter() - started) / len(few)
    started = time.perf_counter()
    for name in job.names:
        complexity_columns(name, maps[name], few, DEFAULT_RENDERING)
    spent["entropy and file sizes"] = (time.perf_counter() - started) / len(few)
    cost = calibrate_curves(
        job.model, images, job.protocol, job.preprocessing.value_range,
        batch_size=job.batch_size, seconds=seconds,
    )  # fmt: skip
    return Estimate(
        images=count,
        forwards=forwards(count, job.protocol, job.names),
        seconds={name: count * each for name, each in spent.items()}
        | {"curves": cost.seconds(count, job.protocol, job.names)},
        memory_mb=_peak_mb(),
    )


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
