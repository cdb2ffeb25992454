"""The curves f(x⁽ᵏ⁾) of a classifier while regions are removed one by one (Samek et al., III.B)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.perturbation.order import Order


@dataclass(frozen=True)
class Curves:
    """f(x⁽ᵏ⁾) for each image, trajectory and step.

    Attributes
    ----------
    logits
        (N, T, L + 1) float32: the target's score before the softmax. Step 0 is the whole image. A
        trajectory is one repeat of the noise and, for random order, one order.
    probabilities
        (N, T, L + 1) float32: its softmax probability, from the same forward passes.
    targets
        (N,) int64.
    image_ids
        N names.
    """

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]
    image_ids: tuple[str, ...]

    @property
    def forwards(self) -> int:
        """Of how many images these curves are the scores: one whole image, then every step."""
        steps = self.logits[np.isfinite(self.logits[:, 0, 0]), :, 1:]
        return len(steps) + steps.size

    def take(self, rows: slice | NDArray[np.integer]) -> "Curves":
        """Those of some images."""
        ids = np.array(self.image_ids, dtype=object)[rows].tolist()
        return Curves(self.logits[rows], self.probabilities[rows], self.targets[rows], tuple(ids))

    def averaged(self) -> "Curves":
        """Each image's trajectories averaged in float64: AOPC and ABPC are the same for it, and it takes a
        small part of the memory.
        """
        means: dict[str, Any] = {
            name: getattr(self, name).mean(axis=1, keepdims=True, dtype=np.float64)
            for name in ("logits", "probabilities")
        }
        return replace(self, **means)

    @staticmethod
    def of_images(parts: Sequence["Curves"]) -> "Curves":
        """Those of other images one after the other."""
        logits, probabilities, targets = (
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("logits", "probabilities", "targets")
        )
        return Curves(logits, probabilities, targets, tuple(i for p in parts for i in p.image_ids))

    @staticmethod
    def of_trajectories(parts: Sequence["Curves"]) -> "Curves":
        """Further trajectories of the same images side by side."""
        logits, probabilities = (
            np.concatenate([getattr(p, name) for p in parts], axis=1)
            for name in ("logits", "probabilities")
        )
        return replace(parts[0], logits=logits, probabilities=probabilities)


#: The curves of one explainer by order.
CurvesByOrder = dict[Order, Curves]
