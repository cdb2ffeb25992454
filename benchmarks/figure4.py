"""How long the whole of the paper's Figure 4 on ILSVRC2012 takes, from a minute of steady running.

    python benchmarks/figure4.py

CaffeNet's shapes with seeded weights, 5040 images, 8 orders, 10 repeats, 100 steps: 40 million perturbed
images. Runs parts of that job, heatmaps included, for 60 seconds or more, and writes figure4.json.
"""

from aopc.base.machine import prepare

prepare()

import time
from typing import Any

import numpy as np
import torch
from networks import NETWORKS
from results import HERE, update
from timing import machine, synchronise

import aopc
from aopc.explainers.registry import EXPLAINERS
from aopc.explainers.run import heatmaps_of
from aopc.perturbation.order import RANDOM

IMAGES, CONFIGURATIONS_OF_THE_PAPER, HOURS_OF_THE_PAPER = 5040, 2, 36.0
PROTOCOL = aopc.Protocol()


def main() -> None:
    """Run, extrapolate, write."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    subject = NETWORKS["caffenet"]
    model = subject.network(device)
    at_once = 20 if device == "cuda" else 12
    images = subject.images(at_once)
    values = aopc.ValueRange((-120.0,) * 3, (135.0,) * 3)
    targets = np.zeros(at_once, dtype=np.int64)
    names = list(EXPLAINERS)
    heatmaps_of(model, images[:2], names, targets[:2], allow_nonfinite=True)
    synchronise()
    started = time.perf_counter()
    maps = heatmaps_of(model, images, names, targets, allow_nonfinite=True)
    synchronise()
    for_heatmaps = (time.perf_counter() - started) / at_once
    done, gone, order = 0, 0.0, 0
    while gone < 60:
        # One order after the other, as they come in a part of the whole job.
        name = names[order % len(names)]
        started = time.perf_counter()
        found = aopc.perturbation_curves(
            model, images, maps[name], targets, protocol=PROTOCOL, value_range=values,
            order="random" if name == RANDOM else "morf",
        )  # fmt: skip
        synchronise()
        gone += time.perf_counter() - started
        done += found.logits[:, :, 1:].size
        order += 1
    forwards = IMAGES * len(names) * PROTOCOL.repeats * PROTOCOL.steps
    hours = (forwards * gone / done + IMAGES * for_heatmaps) / 3600
    two = hours * CONFIGURATIONS_OF_THE_PAPER / len(names)
    result: dict[str, Any] = {
        "ran_seconds": gone,
        "forwards_per_s": done / gone,
        "heatmaps_seconds_an_image": for_heatmaps,
        "forwards": forwards,
        "hours": hours,
        "hours_for_two_orders": two,
        "hours_of_the_paper_for_two_orders": HOURS_OF_THE_PAPER,
    }
    print(result)
    update(HERE / "figure4.json", {"caffenet": {device: result | machine(device)}})


if __name__ == "__main__":
    main()
