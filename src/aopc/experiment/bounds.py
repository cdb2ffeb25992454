"""Whether an evaluation is one that its user can mean: what it takes, roughly, before it starts."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from aopc.base.errors import InputError
from aopc.base.machine import require_disk, require_memory
from aopc.experiment.estimate import duration, estimate, forwards
from aopc.experiment.evaluate import PART_IMAGES, Evaluation
from aopc.experiment.output import output
from aopc.experiment.writable import existing, require_writable
from aopc.models.inference import predict
from aopc.perturbation.partition import Grid

#: Seconds of work that need no word.
LONGEST = 24 * 3600
#: What may be stored besides: statistics, figures.
_SPARE = 2**26


def require_affordable(evaluation: Evaluation, out: Path) -> None:
    """Raise InputError if the evaluation takes more than :data:`LONGEST`, or more memory or disk than there is.

    Memory and disk follow from the numbers of images, explainers, repeats, orders and steps. Time is first guessed from
    a full pass of one image, which is the most that a step can cost, and measured (:func:`estimate`) only where that is
    too long.
    """
    require_writable(out.absolute())
    with output(out, evaluation.folder.root):
        evaluation.check()
    ids = evaluation.image_ids
    network, folder = evaluation.network, evaluation.folder
    inputs = network.inputs(network.preprocessing.frame(folder.load(ids[0]))[None])
    channels, height, width = inputs.shape[1:]
    judged = [(condition.of(evaluation.protocol), names) for condition, names in evaluation.judged]
    points = [(sum(map(p.trajectories, names)) * (p.steps + 1), len(names)) for p, names in judged]
    regions = Grid(height, width, evaluation.protocol.region_size).count
    most = max(max(p.trajectories(e) for e in names) for p, names in judged if names)
    part, image = min(PART_IMAGES, len(ids)), 4 * channels * height * width
    need = part * (8 * max(n for n, _ in points) + 8 * regions * most) + evaluation.protocol.repeats * image
    what = f"{len(ids)} images with {most} trajectories of {evaluation.protocol.steps} steps"
    _unless_yes(lambda: require_memory(need, what))
    # Its parts, and all of them joined.
    stored = 2 * len(ids) * (8 * sum(n for n, _ in points) + image * sum(n for _, n in points)) + _SPARE
    place = existing(out.absolute().parent)
    _unless_yes(lambda: require_disk(stored, shutil.disk_usage(place).free, what, place))
    predict(network.model, inputs)  # what happens once a process
    started = time.perf_counter()
    predict(network.model, inputs)
    passes = sum(forwards(len(ids), p, names) for p, names in judged)
    if passes * (time.perf_counter() - started) > LONGEST and (total := estimate(evaluation).total) > LONGEST:
        raise InputError(
            f"this takes about {duration(total)} ({passes:,} forward passes): ask for fewer images, --repeats or --steps,"
            " or start it with --yes"
        )


def _unless_yes(check: Callable[[], None]) -> None:
    try:
        check()
    except InputError as error:
        raise InputError(f"{error}, or start it with --yes") from error
