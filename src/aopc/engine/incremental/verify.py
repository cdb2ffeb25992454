"""Whether a plan's windows hold what full passes do: tried out on trajectories that meet every class of windows.

Every variant is tried at its first, middle and last regions along both axes, so at all borders, in the arithmetic that
will be used. Memory that is not written holds NaN meanwhile on CPUs: what lies there by chance could be right.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.random import Stream
from aopc.engine.incremental.layers import Sliding
from aopc.engine.incremental.plan import Plan
from aopc.engine.incremental.prepacked import PrepackedConvolution
from aopc.engine.incremental.run import IncrementalRunner
from aopc.engine.setup import Setup
from aopc.engine.trajectories import Images, Layout, Trajectories, laid_out, target_scores
from aopc.models.inference import logits_of
from aopc.models.unwritten import unwritten_memory_is_nan
from aopc.perturbation.order import ranks_of

#: How far maps and scores may be apart, as a share of their largest value, by the arithmetic.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.1}
_ROUNDING_TF32 = 1e-2


@dataclass(frozen=True)
class Difference:
    """By how much of its largest value something computed by windows is off."""

    what: str
    share: float


def difference(
    model: nn.Module, plan: Plan, setup: Setup, image: Tensor, layout: torch.memory_format
) -> Difference | None:
    """The largest where it is more than rounding; ``image`` is (1, C, H, W), and whole images will be in the memory
    format ``layout``. It takes 7 full passes.
    """
    regions = probes(plan)
    images, trajectories = _tried(image, regions, plan.grid.count)
    count = len(trajectories)
    runner = IncrementalRunner(model, plan, setup, count, count, count, Layout(layout))
    shared = runner.unperturbed(images)[1]
    try:
        with unwritten_memory_is_nan(image.device):
            scores, kept = runner.walked(images, shared, trajectories, len(regions))
    finally:
        # As if it had not been tried: results must be the same the next time, too.
        for kind in (step.kind for variant in plan.variants for step in variant):
            if isinstance(kind, Sliding) and isinstance(kind.apply, PrepackedConvolution):
                kind.apply.forget()
    removed = torch.from_numpy(ranks_of(trajectories.order)[:, plan.grid.region_of_pixel] < len(regions))
    pixels = torch.where(removed[..., None].to(image.device), images.fills, images.pixels)
    perturbed = Images(pixels, images.noise, images.ids * len(trajectories))
    expected = runner.unperturbed(perturbed)[1]
    pairs = [(f"its step {store.node.name}", kept[store], expected[store]) for store in plan.stores]
    with runner.dropping(model, perturbed.ids):
        whole = logits_of(model, laid_out(pixels.permute(0, 3, 1, 2), torch.contiguous_format))
    targets = torch.from_numpy(trajectories.target).to(whole.device)
    pairs.append(("its scores", scores[0, :, -1], target_scores(whole, targets)[0]))
    found = [Difference(what, _share(a, b)) for what, a, b in pairs]
    worst = max(found, key=lambda d: d.share)
    return worst if worst.share > _allowed(whole, pairs[0][2]) else None


def probes(plan: Plan) -> NDArray[np.int64]:
    """Regions of every variant: its first, middle and last along both axes."""
    variants = plan.variant_of_region.reshape(plan.grid.rows, plan.grid.columns)
    chosen: list[int] = []
    for variant in np.unique(variants):
        rows, columns = (np.unique(n) for n in np.nonzero(variants == variant))
        ends = [np.unique(n[[0, len(n) // 2, -1]]).tolist() for n in (rows, columns)]
        chosen += [row * plan.grid.columns + column for row, column in product(*ends)]
    return np.unique(chosen)


def _tried(image: Tensor, regions: NDArray[np.int64], count: int) -> tuple[Images, Trajectories]:
    """An image that loses the regions forwards, backwards and in another order, so that no window is always
    overwritten by its neighbours'.
    """
    stream = Stream(0, "windows")
    pixels = image.permute(0, 2, 3, 1).contiguous()
    low, high = float(image.min()), float(image.max())
    noise = torch.from_numpy(stream.uniform(tuple(pixels.shape))).to(pixels) * ((high - low) or 1.0) + low
    rest = np.setdiff1d(np.arange(count), regions)
    orders = [np.concatenate([r, rest]) for r in (regions, regions[::-1], regions[stream.permutation(len(regions))])]
    nothing = np.zeros(len(orders), dtype=np.int64)
    return Images(pixels, noise, ("image",)), Trajectories(nothing, nothing, nothing, np.stack(orders))


def _share(found: Tensor, expected: Tensor) -> float:
    equal = (found == expected) | (found.isnan() & expected.isnan())
    off = (found.double() - expected.double()).abs().masked_fill(equal, 0).nan_to_num(nan=torch.inf)
    largest = expected.double().abs().masked_fill(~expected.isfinite(), 0).max()
    return float(off.max() / largest.clamp(min=torch.finfo(torch.float32).tiny))


def _allowed(*used: Tensor) -> float:
    tf32 = used[0].is_cuda and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return max(_ROUNDING_TF32 if tf32 else 0.0, *(_ROUNDING.get(t.dtype, 0.1) for t in used))
