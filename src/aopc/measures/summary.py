"""From curves and complexity tables to the numbers of the report, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.measures.abpc import abpc_per_image
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.bootstrap import Interval, bootstrap_mean
from aopc.perturbation.curves import Curves, CurvesByOrder
from aopc.perturbation.order import RANDOM, Order

#: Column name → values, all of one length.
Table = dict[str, list[Any]]


@dataclass(frozen=True)
class Summary:
    """The results on one set of images with one network.

    Attributes
    ----------
    name, seed
        Of the data set; of the bootstrap.
    curves
        By explainer, the random baseline included; all on the same images in the same order.
    complexity
        One row an explainer × image (:func:`aopc.measures.complexity.complexity_columns`).
    """

    name: str
    curves: Mapping[str, CurvesByOrder]
    complexity: Mapping[str, NDArray[Any]]
    seed: int

    def __post_init__(self) -> None:
        if RANDOM not in self.curves:
            raise InputError("the explainer random is the baseline: it must be among the explainers")
        images = self.curves[RANDOM]["random"].image_ids
        for explainer, curves in self.curves.items():
            if any(c.image_ids != images for c in curves.values()):
                raise InputError(f"the curves of {explainer} on {self.name} are of other images")
        measured = list(zip(*(self.complexity.get(name, ()) for name in ("explainer", "image")), strict=False))
        for what, names in (("curves", images), ("heatmaps", measured)):
            if len(set(names)) < len(names):
                raise InputError(f"the {what} on {self.name} are of some image twice: each counts once")

    @property
    def explainers(self) -> list[str]:
        return list(self.curves)

    @property
    def images(self) -> tuple[str, ...]:
        """Names, in the order of the curves."""
        return tuple(self.curves[RANDOM]["random"].image_ids)

    def images_under(self, conditions: Mapping[str, Mapping[str, Curves]]) -> tuple[str, ...]:
        """The images of all curves under other conditions (condition → explainer → curves), in their order; all where
        there are none.

        Raises
        ------
        InputError
            If they are not all of the same images in the same order, each once, all of them of the panel.
        """
        found = {tuple(c.image_ids) for by_explainer in conditions.values() for c in by_explainer.values()}
        if not found:
            return self.images
        some = found.pop()
        if found:
            raise InputError(f"the curves under other conditions on {self.name} are not all of the same images")
        if len(set(some)) < len(some):
            raise InputError(
                f"the curves under other conditions on {self.name} are of some image twice: each counts once"
            )
        if others := set(some) - set(self.images):
            raise InputError(f"the curves under other conditions on {self.name} are of an image of none: {min(others)}")
        return some

    def scale(self, *explainers: str) -> float:
        """The largest score in the curves of the explainers, whatever its sign: what rounding is a part of."""
        return scale_of(*(c for e in explainers for c in self.curves[e].values()))

    def aopc_curves(self, explainer: str) -> NDArray[np.float64]:
        """(N, L + 1): AOPC of each image after each step, in the explainer's own order."""
        order: Order = "random" if explainer == RANDOM else "morf"
        return aopc_curves(self.curves[explainer][order])

    def absolute(self, explainer: str) -> Interval:
        """AOPC after all steps."""
        return bootstrap_mean(self.aopc_curves(explainer)[:, -1], seed=self.seed)

    def relative_curve(self, explainer: str) -> Interval:
        """AOPC minus that of random order after each step, (L + 1,), with pointwise intervals."""
        return bootstrap_mean(self.aopc_curves(explainer) - self.aopc_curves(RANDOM), seed=self.seed)

    def difference(self, explainer: str, other: str) -> Interval:
        """The paired difference of two explainers' AOPC, under the same noise on the same images."""
        values = self.aopc_curves(explainer)[:, -1] - self.aopc_curves(other)[:, -1]
        return bootstrap_mean(values, seed=self.seed)

    def metrics(self) -> dict[str, dict[str, float | int]]:
        """The numbers of ``metrics.json`` for this data set, by explainer."""
        return {explainer: self._metrics_of(explainer) for explainer in self.explainers}

    def _metrics_of(self, explainer: str) -> dict[str, float | int]:
        absolute, relative = self.absolute(explainer), self.difference(explainer, RANDOM)
        found = {**_numbers("aopc", absolute), **_numbers("relative_to_random", relative), "images": absolute.images}
        rows = self.complexity["explainer"] == explainer
        # A heatmap without content is not a simple one.
        drawn = rows & ~self.complexity["zero"].astype(bool)
        for measure in ("entropy", "png_kb", "jpeg_kb"):
            found |= _numbers(measure, bootstrap_mean(self.complexity[measure][drawn], seed=self.seed))
        found["zero_heatmaps"] = int(self.complexity["zero"][rows].sum())
        found["nonfinite_heatmaps"] = int(self.complexity["nonfinite"][rows].sum())
        curves = self.curves[explainer]
        if "lerf" in curves and "morf" in curves:
            between = abpc_per_image(curves["lerf"], curves["morf"])
            found |= _numbers("abpc", bootstrap_mean(between, seed=self.seed))
        return found

    def relative_table(self) -> Table:
        """The data of Figure 4: one row an explainer × step."""
        rows: list[tuple[Any, ...]] = []
        for explainer in self.explainers:
            if explainer != RANDOM:
                curve = self.relative_curve(explainer)
                numbers = zip(curve.mean.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True)
                rows += [(self.name, explainer, step, *found, curve.images) for step, found in enumerate(numbers)]
        return _columns(rows, "data_set", "explainer", "step", "relative_aopc", "low", "high", "images")

    def difference_table(self) -> Table:
        """Paired differences in AOPC between all pairs of explainers, one row a pair."""
        rows = []
        for explainer, other in combinations(self.explainers, 2):
            interval = self.difference(explainer, other)
            rows.append((self.name, explainer, other, *interval.numbers, interval.images))
        return _columns(rows, "data_set", "explainer", "other", "difference", "low", "high", "images")


def scale_of(*curves: Curves) -> float:
    """The largest finite score, whatever its sign; 0 where there is none."""
    return max(
        (
            float(np.abs(c.logits, where=np.isfinite(c.logits), out=np.zeros(c.logits.shape)).max(initial=0.0))
            for c in curves
        ),
        default=0.0,
    )


def _numbers(name: str, interval: Interval) -> dict[str, float]:
    mean, low, high = interval.numbers
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _columns(rows: Sequence[tuple[Any, ...]], *names: str) -> Table:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables with the same columns."""
    return {name: [v for t in tables for v in t[name]] for name in tables[0]}
