"""What a profile publishes: its page, with the viewer, and where its numbers are from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ruamel.yaml import YAML

from aopc.base.places import profile
from aopc.base.provenance import file_hash, git_commit
from aopc.experiment.store import read_curves
from aopc.paper.folders import REPORTS
from aopc.paper.panel import Panel
from aopc.paper.report.page import Facts, write_page
from aopc.paper.report.viewer import images_to_show, viewer_data
from aopc.paper.robustness import BLIND
from aopc.paper.tracking.pending import PIPELINE, LoggedRun
from aopc.paper.variant import variant_of
from aopc.perturbation.order import RANDOM

if TYPE_CHECKING:
    from aopc.paper.settings import Settings

LOCK = Path("dvc.lock")


def publish_page(settings: "Settings", runs: Sequence[LoggedRun]) -> Path:
    """Write the page; ``runs`` are the last ones of each stage and of the pipeline here."""
    name = profile().removeprefix("profiles/")
    variant = variant_of(settings.raw)
    own = "make repro" if name == "default" else f"make repro PROFILE={name}"
    # Runs of stages that params.yaml no longer has are kept as well.
    current = YAML(typ="safe").load(LOCK)["stages"] if LOCK.exists() else {}
    return write_page(
        REPORTS,
        settings.titles,
        settings.stands_for,
        [e for e in BLIND if e in settings.controls.explainers],
        [_shown(settings, Panel(panel)) for panel in settings.panels],
        Facts(
            name,
            variant.command if variant else own,
            git_commit(),
            file_hash(LOCK) if LOCK.exists() else None,
            [r for r in runs if r.run.name in current],
            next((r.link for r in runs if r.run.name == PIPELINE), None),
            [str(c) for c in variant.changes],
            str(settings.perturbation.removal),
        ),
    )


def _shown(settings: "Settings", panel: Panel) -> dict[str, Any]:
    """The data of the viewer."""
    dataset, explainers = panel.dataset(), settings.explainers
    height, width = dataset.pixels.shape[1:3]
    count = images_to_show(len(settings.panels), height, width, len(explainers), len(dataset))
    curves = {e: read_curves(panel.curves_file(e)) for e in explainers}
    return viewer_data(
        panel.name,
        settings.panels[panel.name].title,
        settings.protocol(panel.name),
        panel.preprocessing(),
        np.asarray(dataset.pixels[:count]),
        dataset.ids[:count],
        panel.class_names(count),
        {e: np.asarray(panel.heatmaps(e)[:count]) for e in explainers if e != RANDOM},
        {e: c["random" if e == RANDOM else "morf"].take(slice(count)) for e, c in curves.items()},
    )
