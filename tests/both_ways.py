"""The same curves computed incrementally and by full passes."""

import numpy as np
import torch
from torch import nn

import aopc
from aopc.engine.incremental.plan import plan_network
from aopc.perturbation.partition import Grid


def both(model: nn.Module, x: torch.Tensor, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Logits computed incrementally (whether that pays or not) and by full passes."""
    common = dict(region_size=3, steps=6, repeats=2, batch_size=5, targets=[0] * len(x)) | options
    found = [
        aopc.perturbation_curves(model, x, x.sum(1), incremental=incremental, **common) for incremental in (True, False)
    ]
    return found[0].logits, found[1].logits


def require_incremental(model: nn.Module, x: torch.Tensor, size: int = 3) -> None:
    with torch.inference_mode():
        found = plan_network(model, x[:1], Grid(*x.shape[2:], size), 100)
    assert any(found.variants), "nothing is windowed"
