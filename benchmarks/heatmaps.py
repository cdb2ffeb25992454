"""Heatmaps beside one forward and backward pass, and beside captum and zennit used directly.

    python benchmarks/heatmaps.py caffenet

Writes heatmaps.json. All figures are times in units of one forward and backward pass of the same images
in the same batches, measured in turns with it.
"""

from aopc.base.machine import prepare

prepare()

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from networks import NETWORKS
from results import HERE, update
from timing import in_turns, machine, ratios
from torch import Tensor, nn

import aopc
from aopc.explainers.registry import EXPLAINERS
from aopc.explainers.run import heatmaps_of
from aopc.models.inference import default_batch_size
from aopc.perturbation.order import RANDOM

#: Our explainer → who else computes the same.
PEERS = {
    "sensitivity-l2": "captum",
    "deconvolution-l2": "captum",
    "lrp-epsilon-0.01": "zennit",
    "lrp-alpha2-beta1": "zennit",
}


def peer(name: str, model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The signal by the other library, for a batch and its targets."""
    from captum.attr import Deconvolution, Saliency
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite
    from zennit.rules import AlphaBeta, Epsilon, Pass
    from zennit.types import Activation, Linear

    if name == "sensitivity-l2":
        saliency = Saliency(model)
        return lambda x, t: saliency.attribute(x.requires_grad_(), t, abs=False)
    if name == "deconvolution-l2":
        deconvolution = Deconvolution(model)
        return lambda x, t: deconvolution.attribute(x.requires_grad_(), t)
    rule = Epsilon(epsilon=0.01) if "epsilon" in name else AlphaBeta(alpha=2, beta=1)
    layers = [(Linear, rule), (nn.LocalResponseNorm, Pass()), (Activation, Pass())]
    attributor = Gradient(model, LayerMapComposite(layers))

    def attribute(x: Tensor, t: Tensor) -> Tensor:
        with attributor as ready:
            return ready(x, nn.functional.one_hot(t, 1000).to(x))[1]

    return attribute


def measure(name: str, device: str, rounds: int) -> dict[str, Any]:
    """All explainers on one network."""
    subject = NETWORKS[name]
    model = subject.network(device)
    count = 128 if subject.side < 100 else 8
    images = subject.images(count).to(device)
    targets = torch.zeros(count, dtype=torch.int64, device=device)
    size = default_batch_size(model, tuple(images.shape[1:]))
    classes = np.zeros(count, dtype=np.int64)
    names = [e for e in EXPLAINERS if e != RANDOM]

    def in_batches(compute: Callable[[Tensor, Tensor], object]) -> Callable[[], float]:
        def run() -> float:
            for part in range(0, count, size):
                compute(images[part : part + size].clone(), targets[part : part + size])
            return count

        return run

    def forward_and_backward(x: Tensor, t: Tensor) -> None:
        x.requires_grad_()
        torch.autograd.grad(model(x).gather(1, t[:, None]).sum(), x)

    def ours(which: list[str]) -> Callable[[], float]:
        def run() -> float:
            heatmaps_of(model, images, which, classes, allow_nonfinite=True)
            return count

        return run

    contenders: dict[str, Callable[[], float]] = {
        "pass": in_batches(forward_and_backward),
        "all together": ours(names),
    }
    for explainer in names:
        try:
            aopc.heatmaps(model, images[:1], explainer, classes[:1], allow_nonfinite=True)
            contenders[explainer] = ours([explainer])
        except aopc.InputError as error:
            print(f"  {explainer}: {error}")
            contenders.pop("all together", None)
        if explainer in PEERS and subject.side > 100:
            compute = in_batches(peer(explainer, model))
            try:
                compute()
                contenders[f"{explainer} by {PEERS[explainer]}"] = compute
            except Exception as error:  # whatever the other library says of this network
                print(f"  {explainer} by {PEERS[explainer]}: {type(error).__name__}: {error}")
    rates = in_turns(contenders, rounds)
    found: dict[str, Any] = {}
    for label in contenders:
        if label != "pass":
            found[label] = ratios(rates, "pass", label)
            print(f"  {label}: {found[label]['median']:.2f}", flush=True)
    return {"passes": found, **machine(device)}


def main() -> None:
    """Measure the named networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("networks", nargs="*", default=["caffenet", "vgg16", "small"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in options.networks or ["caffenet", "vgg16", "small"]:
        for device in devices:
            print(f"{name} on {device}: heatmaps", flush=True)
            update(HERE / "heatmaps.json", {name: {device: measure(name, device, options.rounds)}})


if __name__ == "__main__":
    main()
