"""The curves f(x⁽ᵏ⁾) of a classifier while regions are removed one by one (Samek et al., III.B)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.perturbation.order import Order


@dataclass(frozen=True)
class Curves:
    """f(x⁽ᵏ⁾) for each image, trajectory and step.

    Attributes
    ----------
    logits
        (N, T, L + 1) float32: the target's score before the softmax. Step 0 is the whole image. A trajectory
        is one repeat of the noise and, for random order, one order.
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

    def __post_init__(self) -> None:
        values = (self.logits, self.probabilities, self.targets)
        shapes = [v.shape if isinstance(v, np.ndarray) else None for v in values]
        logits = shapes[0]
        count = len(self.image_ids) if isinstance(self.image_ids, tuple | list) else None
        if logits is None or len(logits) != 3 or shapes[1:] != [logits, logits[:1]] or count != logits[0]:
            raise InputError(
                "curves are two arrays (images, trajectories, steps + 1), a target and a name an image; got the shapes"
                f" {shapes} and {count} names"
            )

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
        """Each image's trajectories averaged in float64: AOPC and ABPC are the same for it, and it takes a small
        part of the memory.
        """
        logits, probabilities = (
            values.mean(axis=1, keepdims=True, dtype=np.float64) for values in (self.logits, self.probabilities)
        )
        return replace(self, logits=logits, probabilities=probabilities)

    @staticmethod
    def of_images(parts: Sequence["Curves"]) -> "Curves":
        """Those of other images one after the other."""
        return Curves(
            np.concatenate([p.logits for p in parts]),
            np.concatenate([p.probabilities for p in parts]),
            np.concatenate([p.targets for p in parts]),
            tuple(i for p in parts for i in p.image_ids),
        )

    @staticmethod
    def of_trajectories(parts: Sequence["Curves"]) -> "Curves":
        """Further trajectories of the same images side by side."""
        return replace(
            parts[0],
            logits=np.concatenate([p.logits for p in parts], axis=1),
            probabilities=np.concatenate([p.probabilities for p in parts], axis=1),
        )


#: The curves of one explainer by order.
CurvesByOrder = dict[Order, Curves]
