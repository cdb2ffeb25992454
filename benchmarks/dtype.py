"""What reduced precision costs in AOPC, beside the interval of the result.

    python benchmarks/dtype.py IMAGES WEIGHTS

IMAGES is a folder of photographs, WEIGHTS a state dict of SqueezeNet 1.0 trained with Caffe. Writes
dtype.json: AOPC of LRP and of random order in float32, TF32 and bfloat16, incrementally and by full passes, against
float64, and the half width of the 95 % interval of AOPC relative to random.
"""

from aopc.base.machine import prepare

prepare()

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import HERE, update
from timing import machine

import aopc
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.models.inference import best_device
from aopc.models.load import load_network

IMAGES, REPEATS, STEPS = 12, 1, 100
VARIANTS = {
    "float32": {"dtype": "float32"},
    "float32, full passes": {"dtype": "float32", "incremental": False},
    "tf32": {"dtype": "tf32"},
    "bfloat16": {"dtype": "bfloat16"},
}


def main() -> None:
    """Measure and write."""
    folder = image_folder(Path(sys.argv[1])).subset(Subset(IMAGES, "sample", 0))
    network = load_network("squeezenet1_0", Path(sys.argv[2]), "caffe")[0].on()
    model, preprocessing, device = network.model, network.preprocessing, best_device()
    images = network.inputs(np.stack([preprocessing.frame(folder.load(i)) for i in folder.ids]))
    with torch.no_grad():
        targets = model.double()(images.double().to(device)).argmax(1).cpu()
    model.float()
    maps = aopc.heatmaps(model, images, "lrp-alpha2-beta1", targets)

    def per_image(network: Any, x: Any, **options: Any) -> dict[str, np.ndarray]:
        common = dict(
            targets=targets, repeats=REPEATS, steps=STEPS, image_ids=list(folder.ids),
            value_range=preprocessing.value_range, **options,
        )  # fmt: skip
        lrp = aopc.perturbation_curves(network, x, maps, **common)
        random = aopc.perturbation_curves(network, x, order="random", **common)
        return {"lrp": aopc_curves(lrp)[:, -1], "random": aopc_curves(random)[:, -1]}

    exact = per_image(model.double(), images.double())
    model.float()
    interval = bootstrap_mean(exact["lrp"] - exact["random"])
    half = float(interval.high - interval.low) / 2
    found: dict[str, Any] = {
        "images": IMAGES, "steps": STEPS, "aopc": float(exact["lrp"].mean()),
        "relative_to_random": float(interval.mean), "half_width": half, "errors": {},
    }  # fmt: skip
    for name, options in VARIANTS.items():
        rough = per_image(model, images, **options)
        error = abs(rough["lrp"].mean() - exact["lrp"].mean())
        relative = abs((rough["lrp"] - rough["random"]).mean() - float(interval.mean))
        found["errors"][name] = {
            "aopc": float(error),
            "relative_to_random": float(relative),
            "largest_of_an_image": float(np.abs(rough["lrp"] - exact["lrp"]).max()),
            "half_width_over_error": half / max(float(error), float(relative), 1e-30),
        }
        print(name, found["errors"][name], flush=True)
    kind = device.type
    update(HERE / "dtype.json", {"squeezenet": {kind: found | machine(kind)}})


if __name__ == "__main__":
    main()
