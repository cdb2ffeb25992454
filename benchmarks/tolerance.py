"""How an interval shrinks with repeats and with images, and whether the stopping rule covers.

    python benchmarks/tolerance.py CURVES_FOLDER

CURVES_FOLDER is `curves` in the results of `aopc evaluate` with two repeats or more. Writes tolerance.json:
variance components of each explainer's AOPC relative to random, and the coverage of
`aopc evaluate --tolerance` in simulated runs on distributions and on resamples of the measured
differences.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import HERE, update

from aopc.experiment.store import read_curves
from aopc.measures.aopc import values_of
from aopc.measures.statistics.stopping import StoppingRule, variance_components

RUNS, MOST = 2000, 1500
#: What a fixed number of images would be that gives the wanted tolerance.
IMAGES = (40, 100, 300)


def per_trajectory(path: Path) -> NDArray[np.float64]:
    """(N, T): AOPC of each trajectory."""
    values = values_of(next(iter(read_curves(path).values())))
    return (values[:, :, :1] - values).mean(axis=2)


def components(folder: Path) -> dict[str, Any]:
    """By explainer; the random order with the same number of trajectories is what it is paired with."""
    random = per_trajectory(folder / "random.parquet")
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        if path.stem == "random":
            continue
        own = per_trajectory(path)
        repeats = min(own.shape[1], random.shape[1])
        differences = own[:, :repeats] - random[:, :repeats]
        parts = variance_components(differences)
        images = len(differences)
        found[path.stem] = {
            "images": images,
            "repeats": repeats,
            "variance_images": parts.images,
            "variance_noise": parts.noise,
            "half_width": {r: parts.half_width(images, r) for r in (1, 2, 3, 5, 10)},
            "half_width_twice_the_images": parts.half_width(2 * images, 1),
            "mean": float(differences.mean()),
            "values": differences.mean(axis=1).tolist(),
        }
        print(f"{path.stem}: images {parts.images:.3f}, noise {parts.noise:.3f}", flush=True)
    return found


def coverage(
    draw: Callable[[np.random.Generator, int], NDArray[np.float64]], truth: float, spread: float
) -> dict[str, Any]:
    """Of mean ± tolerance in simulated runs, by the number of images that would be needed."""
    found = {}
    for images in IMAGES:
        random = np.random.default_rng(images)
        rule = StoppingRule(1.96 * spread / images**0.5)
        held, used = 0, 0
        for _ in range(RUNS):
            run = draw(random, MOST)
            looks = range(rule.every, MOST + 1, rule.every)
            n = next((n for n in looks if rule.is_met(run[:n, None])), MOST)
            held += abs(run[:n].mean() - truth) <= rule.tolerance
            used += n
        found[str(images)] = {"coverage": held / RUNS, "images_used": used / RUNS}
    return found


DISTRIBUTIONS: dict[str, tuple[Callable[[np.random.Generator, int], NDArray[np.float64]], float, float]] = {
    "normal": (lambda g, n: g.normal(size=n), 0.0, 1.0),
    "exponential": (lambda g, n: g.exponential(size=n), 1.0, 1.0),
    "Student's t, 4 degrees": (lambda g, n: g.standard_t(4, size=n), 0.0, 2**0.5),
    "two groups, 20 : 80": (lambda g, n: (g.random(n) < 0.2) * 1.0, 0.2, 0.4),
    "lognormal": (lambda g, n: g.lognormal(size=n), float(np.exp(0.5)), float(((np.e - 1) * np.e) ** 0.5)),
}  # fmt: skip


def main() -> None:
    """Measure, simulate, write."""
    folder = Path(sys.argv[1])
    measured = components(folder)
    simulated = {name: coverage(*given) for name, given in DISTRIBUTIONS.items()}
    for explainer in measured:
        values = np.array(measured[explainer].pop("values"))
        if explainer in ("lrp-alpha2-beta1", "sensitivity-l2"):
            simulated[f"measured, {explainer}"] = coverage(
                lambda g, n, v=values: g.choice(v, n),
                float(values.mean()),
                float(values.std()),  # type: ignore[misc]
            )
    for name, found in simulated.items():
        print(name, {k: round(v["coverage"], 3) for k, v in found.items()}, flush=True)
    update(HERE / "tolerance.json", {"components": measured, "coverage": simulated})


if __name__ == "__main__":
    main()
