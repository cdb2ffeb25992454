"""What stages note of heatmaps and curves, in their files and for MLflow."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aopc.base.errors import warned
from aopc.base.names import listed
from aopc.base.provenance import metadata
from aopc.measures.aopc import aopc_curves
from aopc.measures.chance import no_better_than_chance
from aopc.measures.complexity import zero_heatmaps
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.paper.panel import Panel
from aopc.perturbation.curves import Curves

if TYPE_CHECKING:
    from aopc.paper.tracking.pending import StageRun


def on_predictions(run: "StageRun", name: str, accuracy: float | None, images: int, classes: int) -> None:
    """The accuracy on a panel's images, None where labels are not known, which is also said, and loudly near chance."""
    if accuracy is None:
        print(f"{name}: no labels on {images} images")
        return
    run.metrics[f"{name}_accuracy"] = accuracy
    print(f"{name}: accuracy {accuracy:.1%} on {images} images")
    warned(no_better_than_chance(round(accuracy * images), images, classes, f"{name}: "))


def on_heatmaps(run: "StageRun", panel: Panel, explainer: str, ids: Sequence[str], module: str) -> dict[str, Any]:
    """Their origin, and the images whose heatmaps rank nothing, which is also said."""
    maps = panel.heatmaps(explainer)
    about: dict[str, Any] = metadata({"panel": panel.name, "explainer": explainer}, module, explainer)
    unusable = {"zero": zero_heatmaps(maps), "nonfinite": ~np.isfinite(maps).all(axis=(1, 2))}
    for kind, flags in unusable.items():
        about[kind] = [ids[int(i)] for i in np.flatnonzero(flags)]
        run.metrics[f"{explainer}/{kind}_heatmaps"] = int(flags.sum())
        if flags.any():
            print(
                f"aopc: {flags.sum()} of {len(maps)} heatmaps of {explainer} on {panel.name} are"
                f" {kind}: {listed(about[kind])}",
                file=sys.stderr,
            )
    return about


def on_curves(run: "StageRun", explainer: str, curves: Curves, seed: int) -> None:
    """The explainer's AOPC by step, and at the end with its interval."""
    interval = bootstrap_mean(aopc_curves(curves), seed=seed)
    run.curves[f"{explainer}/aopc_by_step"] = interval.mean.tolist()
    for name in ("mean", "low", "high"):
        label = "aopc" if name == "mean" else f"aopc_{name}"
        run.metrics[f"{explainer}/{label}"] = float(getattr(interval, name)[-1])
