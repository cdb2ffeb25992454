"""How time grows with images, steps, repeats and explainers, and memory with images; the estimate beside it.

    python benchmarks/costs.py

Writes costs.json. Each job is `aopc evaluate`'s, on drawn images and the small network, in a process of
its own. Each factor is varied alone; a straight line through the times, and how far they are from it,
say whether time is linear in it.
"""

from aopc.base.machine import prepare

prepare()

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from networks import NETWORKS
from results import HERE, update
from timing import machine, peak_mb, reset_peak

#: (images, steps, repeats, explainers beside random) of the job from which each factor is varied.
BASE = {"images": 40, "steps": 40, "repeats": 4, "explainers": 2}
LEVELS = {
    "images": [20, 80, 320, 1280],
    "steps": [10, 40, 80, 160],
    "repeats": [2, 4, 8, 16],
    "explainers": [1, 2, 4, 7],
}


def job(folder: Path, setting: dict[str, int]) -> Any:
    """The evaluation."""
    from aopc.data.folder import image_folder
    from aopc.data.subset import Subset
    from aopc.experiment.evaluate import Evaluation
    from aopc.explainers.registry import EXPLAINERS
    from aopc.models.network import Network
    from aopc.models.preprocessing import Preprocessing
    from aopc.perturbation.protocol import Protocol

    subject = NETWORKS["small"]
    return Evaluation(
        name="costs",
        folder=image_folder(folder / "images").subset(Subset(setting["images"], "first")),
        network=Network(
            subject.network("cpu"), Preprocessing("RGB", (120.0,) * 3, (1.0,) * 3, 255.0)
        ),
        explainers=list(EXPLAINERS)[: setting["explainers"]],
        protocol=Protocol(
            region_size=subject.region_size, steps=setting["steps"], repeats=setting["repeats"],
            random_orders=setting["repeats"], removal="uniform", seed=0,
        ),
    )  # fmt: skip


def run(folder: Path, setting: dict[str, int], kind: str) -> dict[str, float]:
    """One job, or its estimate, in this process."""
    from aopc.experiment.estimate import estimate
    from aopc.experiment.evaluate import evaluate

    if kind == "estimate":
        return {"seconds": estimate(job(folder, setting)).total}
    # What happens once a process is not what grows.
    evaluate(job(folder, setting | {"images": 1, "steps": 1, "repeats": 1}), folder / "warm")
    reset_peak()
    started = time.perf_counter()
    evaluate(job(folder, setting), folder / "out")
    return {"seconds": time.perf_counter() - started, "peak_mb": peak_mb()}


def apart(folder: Path, setting: dict[str, int], kind: str = "evaluate") -> dict[str, float]:
    """:func:`run` in a process of its own."""
    command = [sys.executable, __file__, str(folder), kind, json.dumps(setting)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def draw(folder: Path, count: int) -> None:
    """Images as files."""
    from PIL import Image

    side = NETWORKS["small"].side
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(count):
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i:05d}.png")


def main() -> None:
    """Vary each factor, fit, estimate, write."""
    if len(sys.argv) > 1:
        print(json.dumps(run(Path(sys.argv[1]), json.loads(sys.argv[3]), sys.argv[2])))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder, max(LEVELS["images"]))
        for factor, levels in LEVELS.items():
            measured = [apart(folder, BASE | {factor: level}) for level in levels]
            seconds = np.array([m["seconds"] for m in measured])
            slope, constant = np.polyfit(levels, seconds, 1)
            line = constant + slope * np.array(levels)
            found[factor] = {
                "levels": levels,
                "seconds": seconds.tolist(),
                "peak_mb": [m["peak_mb"] for m in measured],
                "slope": float(slope),
                "constant": float(constant),
                "largest_deviation": float(np.abs(seconds - line).max() / seconds.max()),
            }
            print(f"{factor}: {levels} → {seconds.round(2).tolist()} s", flush=True)
        largest = BASE | {"images": max(LEVELS["images"])}
        estimated = apart(folder, largest, "estimate")["seconds"]
        took = found["images"]["seconds"][-1]
        found["estimate"] = {"setting": largest, "estimated": estimated, "took": took}
        print(f"estimate {estimated:.1f} s, took {took:.1f} s")
    update(HERE / "costs.json", {"small": {"cpu": {"factors": found, **machine("cpu")}}})


if __name__ == "__main__":
    main()
