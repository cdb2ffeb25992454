"""Stage: all waiting notes to MLflow, the page, and the README's table of results."""

from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from aopc.errors import InputError
from aopc.explainers import BLIND, RANDOM
from aopc.perturbation.engine import Curves
from aopc.protocol import read_curves
from aopc.report.page import Facts, LoggedRun, write_page
from aopc.report.viewer import images_to_show, viewer_panel
from aopc.repository import profile
from aopc.stages.panel import (
    StoredPanel,
    control_settings,
    panel_protocol,
    panel_settings,
    panels_of_the_paper,
)
from aopc.stages.stage import DATA, JOURNAL, PARAMS, REPORTS, section
from aopc.tables import atomic, file_hash, read_array, write_json
from aopc.tracking.journal import StageRun, git_commit
from aopc.tracking.store import PIPELINE, log_pending

README = Path("README.md")
LOCK = Path("dvc.lock")
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def with_results(readme: str, table: str) -> str:
    """The README with the table between its two marks.

    Raises
    ------
    InputError
        If the marks are missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{table}{END}{after}"


def work(run: StageRun, params: dict[str, Any]) -> None:
    run.tracked = False
    table = (REPORTS / "results.md").read_text(encoding="utf-8")
    current = README.read_text(encoding="utf-8")
    updated = with_results(current, table)
    if updated != current:
        with atomic(README) as path:
            path.write_text(updated, encoding="utf-8")
    print(log_pending(JOURNAL, params, [PARAMS, LOCK]))
    # Its date, wall times and links differ from run to run, so it is no output that DVC keeps.
    print(f"wrote {_page(params)}")
    write_json(DATA / "published.json", {"results": file_hash(REPORTS / "metrics.json")})


def _page(params: dict[str, Any]) -> Path:
    settings = {name: panel_settings(params, name) for name in section(params, "panels")}
    name = profile().removeprefix("profiles/")
    command = "make repro" if name == "default" else f"make repro PROFILE={name}"
    runs = [LoggedRun(found, link) for found, link in JOURNAL.last_runs()]
    # Runs of stages that params.yaml no longer has are kept as well.
    current = YAML(typ="safe").load(LOCK)["stages"] if LOCK.exists() else {}
    stages = [r for r in runs if r.run.name in current]
    pipeline = next((r.link for r in runs if r.run.name == PIPELINE), None)
    return write_page(
        REPORTS,
        {panel: s.title for panel, s in settings.items()},
        panels_of_the_paper(params),
        [e for e in BLIND if e in control_settings(params).explainers],
        [_viewer_panel(params, panel, len(settings)) for panel in settings],
        Facts(
            name,
            command,
            git_commit(),
            file_hash(LOCK) if LOCK.exists() else None,
            stages,
            pipeline,
        ),
    )


def _viewer_panel(params: dict[str, Any], name: str, panels: int) -> dict[str, Any]:
    stored = StoredPanel(DATA / "panels" / name)
    dataset, targets = stored.dataset(), stored.targets()
    explainers = list(section(params, "explainers"))
    height, width = dataset.pixels.shape[1:3]
    count = images_to_show(panels, height, width, len(explainers), len(dataset))
    heatmaps, curves = {}, {}
    for explainer in explainers:
        by_order = read_curves(DATA / "curves" / name / f"{explainer}.parquet")
        whole = by_order["random" if explainer == RANDOM else "morf"]
        curves[explainer] = Curves(
            whole.logits[:count],
            whole.probabilities[:count],
            whole.targets[:count],
            whole.image_ids[:count],
        )
        if explainer != RANDOM:
            maps = read_array(DATA / "heatmaps" / name / explainer / "heatmaps.npy")
            heatmaps[explainer] = np.asarray(maps[:count])
    classes = dataset.classes
    return viewer_panel(
        name,
        panel_settings(params, name).title,
        panel_protocol(params, name),
        stored.network()[1],
        np.asarray(dataset.pixels[:count]),
        dataset.ids[:count],
        [classes[t] if t < len(classes) else f"class {t}" for t in targets[:count]],
        heatmaps,
        curves,
    )
