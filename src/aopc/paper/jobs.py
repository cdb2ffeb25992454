"""The pipeline's files as jobs of the experiment."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aopc.base.files import digest_of
from aopc.base.random import Stream
from aopc.experiment.job import Job
from aopc.explainers.registry import get_explainers
from aopc.models.dropout import has_dropout
from aopc.paper.folders import PART_IMAGES
from aopc.paper.panel import Panel
from aopc.paper.subjects import subject_of
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import CONDITIONS, MAIN

if TYPE_CHECKING:
    from aopc.paper.settings import Settings


def main_job(settings: "Settings", panel: Panel) -> Job:
    """The paper's experiment on a panel, on the heatmaps that are there."""
    protocol, explainers = settings.protocol(panel.name), settings.explainers
    maps = {e: (panel.heatmaps(e), digest_of(panel.heatmaps_file(e))) for e in explainers}
    conditions = [(CONDITIONS[MAIN], explainers)]
    return Job(subject_of(settings, panel), protocol, conditions, PART_IMAGES, maps, label="perturbation")


def control_job(settings: "Settings", panel: Panel) -> Job:
    """Other choices than the paper's, and what the paper lacks, on a random sample of a panel's images.

    Raises
    ------
    InputError
        If an explainer is not known, or two are the same.
    """
    controls, subject, main = settings.controls, subject_of(settings, panel), settings.protocol(panel.name)
    get_explainers([*settings.explainers, *controls.explainers])
    protocol = replace(main, repeats=controls.repeats, random_orders=controls.random_orders)
    order = Stream(main.seed, "controls", panel.name).permutation(len(subject.ids))
    chosen = np.sort(order[: controls.images])
    known = [e for e in settings.explainers if e != RANDOM]
    maps = {e: (panel.heatmaps(e)[chosen], digest_of(panel.heatmaps_file(e))) for e in known}
    conditions = [
        (condition, names)
        for condition, names in controls.conditions(settings.explainers, main)
        if not condition.of(protocol).dropout or has_dropout(subject.network.model)
    ]
    sample = subject.take(chosen)
    return Job(sample, protocol, conditions, PART_IMAGES, maps, label="controls")


def files_below(job: Job, panel: Panel) -> dict[Path, list[str]]:
    """Folder → the files that a control job keeps in it."""
    found = {panel.control_file("", "").parent: [c.name for c, _ in job.conditions]}
    for condition, explainers in job.conditions:
        folder = panel.control_file(condition.name, "").parent
        found[folder] = [f"{e}.parquet" for e in explainers]
    return found
