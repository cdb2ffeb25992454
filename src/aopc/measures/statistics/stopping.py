"""How many images and repeats an answer takes: variance components, and a rule to stop by.

Explainers meet the same noise on the same images, so what is uncertain is the mean over images of a paired
difference in AOPC, d_ir for image i and repeat r of the noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from aopc.base.arguments import as_array, as_number
from aopc.base.errors import InputError
from aopc.measures.statistics.bootstrap import LEVEL


@dataclass(frozen=True)
class VarianceComponents:
    """d_ir = mean + image_i + noise_ir: the variances of the two random parts, in units of f².

    ``images`` is that between images, estimated without bias, so it can come out below 0; ``noise`` that between
    repeats of one image.
    """

    images: float
    noise: float

    def half_width(self, images: int, repeats: int) -> float:
        """Of the 95 % interval of the mean, for so many images with so many repeats each."""
        variance = (max(self.images, 0.0) + self.noise / repeats) / images
        return float(student.ppf((1 + LEVEL) / 2, images - 1) * np.sqrt(variance))

    def best_repeats(self, image_cost: float) -> float:
        """The number of repeats that gives the narrowest interval for a given time.

        √(c σ²_noise / σ²_images), where c is what an image costs before its first repeat (loading, heatmaps), in
        units of one repeat (Cochran 1977, section 10.6).
        """
        return np.inf if self.images <= 0 else float(np.sqrt(image_cost * self.noise / self.images))


def variance_components(differences: ArrayLike) -> VarianceComponents:
    """Variance components of paired differences, (N, R), by analysis of variance (one random factor).

    Raises
    ------
    InputError
        If there are fewer than two images or two repeats, or a value is not finite.

    Examples
    --------
    >>> variance_components([[1.0, 3.0], [5.0, 7.0]])
    VarianceComponents(images=7.0, noise=2.0)
    """
    values = as_array("differences", differences).astype(np.float64, copy=False)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise InputError(
            "variance components need finite differences of two images and two repeats at least;"
            f" got shape {values.shape}"
        )
    noise = float(values.var(axis=1, ddof=1).mean())
    images = float(values.mean(axis=1).var(ddof=1)) - noise / values.shape[1]
    return VarianceComponents(images, noise)


@dataclass(frozen=True)
class StoppingRule:
    """Stop as soon as the means are known to within ±``tolerance``, a half width in units of f.

    It is asked each time :attr:`every` further images are done, images in random order, and says yes at n ≥
    :attr:`least` images once

        t_{n−1, 0.975} · √(s² (1 + :attr:`caution` / n) / n) ≤ tolerance

    holds for the differences of every explainer to random (a sequential interval of fixed width: Chow and Robbins
    1965, with a minimum and a correction for stopping at a variance that is too small by chance). The mean ±
    tolerance then covers the true mean in at least about 95 % of runs; benchmarks/tolerance.py has the simulation.
    """

    tolerance: float
    every: int = 20
    least: int = 60
    caution: int = 10

    def __post_init__(self) -> None:
        as_number("the tolerance", self.tolerance)
        if not self.tolerance > 0 or not np.isfinite(self.tolerance):
            raise InputError(f"the tolerance must be a positive number; got {self.tolerance}")

    def half_widths(self, differences: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is compared with the tolerance, (E,), of differences (n, E); NaN are left out."""
        counts = np.isfinite(differences).sum(axis=0)
        found, enough = np.full(len(counts), np.inf), counts >= 2
        n = counts[enough]
        variance = np.nanvar(differences[:, enough], axis=0, ddof=1)
        found[enough] = student.ppf((1 + LEVEL) / 2, n - 1) * np.sqrt(variance * (1 + self.caution / n) / n)
        return found

    def is_met(self, differences: NDArray[np.float64]) -> bool:
        """Whether to stop after differences (n, E): n images, E explainers."""
        enough = bool((np.isfinite(differences).sum(axis=0) >= self.least).all())
        return enough and bool((self.half_widths(differences) <= self.tolerance).all())
