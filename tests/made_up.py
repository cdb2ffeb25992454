"""Results that are made up so that every claim of the paper is true of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from aopc.measures.summary import Summary
from aopc.paper.claims.evidence import Evidence, Training
from aopc.perturbation.curves import Curves

IMAGES, STEPS = 60, 10
#: How fast the score falls under each explainer where everything is as the paper says.
AS_THE_PAPER_SAYS = {
    "sensitivity-l2": 0.0,
    "sensitivity-linf": 0.1,
    "deconvolution-l2": 1.5,
    "deconvolution-linf": 1.6,
    "lrp-epsilon-0.01": 3.4,
    "lrp-epsilon-100": 3.5,
    "lrp-alpha2-beta1": 3.0,
    "random": 1.0,
}


def curves(speed: np.ndarray, noise: float = 0.1, seed: int = 0) -> Curves:
    """Scores that fall from 10 by ``speed`` in all, a straight line an image."""
    generator = np.random.default_rng(seed)
    line = 10 - speed[:, None] * np.linspace(0, 1, STEPS + 1)
    line[:, 1:] += noise * generator.standard_normal((len(speed), 1))
    logits = line[:, None].astype(np.float32)
    ids = tuple(f"image {i}" for i in range(len(speed)))
    return Curves(logits, logits / 20, np.zeros(len(speed), dtype=np.int64), ids)


def panel(name: str, speeds: dict[str, Any], scale: float = 1.0, count: int = IMAGES) -> Summary:
    by_explainer = {}
    for i, (explainer, speed) in enumerate(speeds.items()):
        order = "random" if explainer == "random" else "morf"
        speed = scale * np.broadcast_to(speed, (count,)).astype(float)
        by_explainer[explainer] = {order: curves(speed, seed=i)}
    sizes = {"sensitivity-l2": 3.0, "deconvolution-l2": 2.0, "lrp-alpha2-beta1": 1.0}
    rows = [(e, i) for e in speeds for i in range(count)]
    generator = np.random.default_rng(1)
    jitter = 0.1 * generator.random(len(rows))
    size = np.array([sizes.get(e, 4.0) for e, _ in rows]) + jitter
    complexity = {
        "explainer": np.array([e for e, _ in rows]),
        "image": np.array([f"image {i}" for _, i in rows]),
        "entropy": size,
        "png_kb": size,
        "jpeg_kb": size,
        "zero": np.zeros(len(rows), dtype=bool),
        "nonfinite": np.zeros(len(rows), dtype=bool),
    }
    return Summary(name, by_explainer, complexity, seed=0)


def evidence() -> Evidence:
    """Results of which every claim of the paper is true."""
    # On MIT Places sensitivity begins above random order and ends below.
    places = panel("places", AS_THE_PAPER_SAYS)
    bent = places.curves["sensitivity-l2"]["morf"].logits.copy()
    bent[:, :, 1] = 8.0
    bent[:, :, 2:] = 10.5
    places.curves["sensitivity-l2"]["morf"] = replace(  # type: ignore[index]
        places.curves["sensitivity-l2"]["morf"], logits=bent
    )
    panels = {
        "ilsvrc2012": panel("objects", AS_THE_PAPER_SAYS | {"sensitivity-l2": 1.2}, scale=3.0),
        "sun397": panel("scenes", AS_THE_PAPER_SAYS),
        "places205": places,
    }
    generator = np.random.default_rng(3)
    learning = np.linspace(0.1, 0.9, 8)
    training = Training(
        "a network",
        learning * 5 + 0.1 * generator.standard_normal((50, 8)),
        np.zeros((50, 8)),
        generator.random((400, 8)) < learning,
    )
    return Evidence(
        panels=panels,
        titles={"ilsvrc2012": "Objects", "sun397": "Scenes", "places205": "Places"},
        controls={
            name: {"dropout": {e: next(iter(c.values())) for e, c in p.curves.items()}} for name, p in panels.items()
        },
        conservation={name: {"lrp-alpha2-beta1": 1 + 0.01 * generator.standard_normal(IMAGES)} for name in panels},
        trainings={"objects": training},
        specificity={
            "deconvolution-l2": 1 - 1e-6 * generator.random(80),
            "lrp-alpha2-beta1": 0.5 + 0.1 * generator.standard_normal(80),
        },
        seed=0,
    )
