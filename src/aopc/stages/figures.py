"""Stage: the paper's figures and tables, those beyond it, and the README's table of results."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aopc.datasets.dataset import Dataset
from aopc.explainers import RANDOM
from aopc.figures.choices import draw_agreement, draw_choices, draw_ground_truth, draw_spatial
from aopc.figures.figure1 import draw_figure1
from aopc.figures.figure2 import METHODS, draw_figure2
from aopc.figures.figure3 import draw_figure3
from aopc.figures.figure4 import draw_figure4
from aopc.figures.figure5 import draw_figure5
from aopc.figures.figure6 import SHOWN, draw_figure6
from aopc.figures.figure7 import draw_figure7
from aopc.figures.results import results_table
from aopc.figures.style import save_figure
from aopc.figures.table1 import draw_table1
from aopc.stages.panel import (
    StoredPanel,
    checkpoint_settings,
    panel_settings,
    panels_of_the_paper,
)
from aopc.stages.stage import DATA, REPORTS, section
from aopc.tables import atomic, read_array, read_csv, read_json
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    explainers = list(section(params, "explainers"))
    settings = {name: panel_settings(params, name) for name in section(params, "panels")}
    titles = {name: s.title for name, s in settings.items()}
    metrics, claims = read_json(REPORTS / "metrics.json"), read_json(REPORTS / "claims.json")
    stands_for = panels_of_the_paper(params)
    with atomic(REPORTS / "results.md") as path:
        path.write_text(results_table(claims, metrics, stands_for), encoding="utf-8")

    jobs: list[tuple[str, Callable[..., Figure], tuple[Any, ...]]] = []

    def save(name: str, draw: Callable[..., Figure], *arguments: Any) -> None:
        jobs.append((name, draw, arguments))

    # Pictures of heatmaps with a colour for every method; noise is none.
    shown = [e for e in explainers if e != RANDOM]
    digits = DATA / "digits"
    if (digits / "figure1-image.npy").exists():
        save(
            "figure1",
            draw_figure1,
            np.asarray(read_array(digits / "figure1-image.npy")),
            np.asarray(read_array(digits / "figure1-heatmaps.npy")),
        )
        about = read_json(digits / "figure3.json")
        save(
            "figure3",
            draw_figure3,
            read_csv(REPORTS / "figure3.csv"),
            np.asarray(read_array(digits / "figure3-images.npy")),
            np.asarray(read_array(digits / "figure3-heatmaps.npy")),
            about["explainers"],
            about["shown"],
        )
    first = next(iter(settings))
    example = {
        m.explainer: _heatmaps(first, m.explainer, 1)[0]
        for m in METHODS
        if m.explainer in explainers
    }
    image = np.asarray(StoredPanel(DATA / "panels" / first).dataset().pixels[0])
    if example:
        table = read_csv(REPORTS / "figure2.csv")
        save("figure2", draw_figure2, table, image, example, titles, params["seed"])
    save("figure4", draw_figure4, read_csv(REPORTS / "figure4.csv"), titles)
    save("figure5", draw_figure5, read_csv(REPORTS / "figure5.csv"), titles, explainers)
    for name, title in titles.items():
        stored = StoredPanel(DATA / "panels" / name)
        dataset = stored.dataset()
        images = np.asarray(dataset.pixels[:SHOWN])
        classes, targets = dataset.classes, stored.targets()[:SHOWN]
        captions = [classes[t] if t < len(classes) else f"class {t}" for t in targets]
        maps = {e: _heatmaps(name, e, SHOWN) for e in shown}
        save(f"figure6-{name}", draw_figure6, images, maps, captions, title)
    save("table1", draw_table1, metrics, explainers)
    for name in section(params, "checkpoints"):
        save(f"figure7-{name}", _figure7, name, checkpoint_settings(params, name).title)
    for name, draw, more in (
        ("choices", draw_choices, ()),
        ("agreement", draw_agreement, ()),
        ("spatial", draw_spatial, ()),
        ("ground_truth", draw_ground_truth, (metrics,)),
    ):
        table = read_csv(REPORTS / f"{name}.csv")
        if len(table["data_set"]):
            save(name, draw, table, *more, titles)
    # Drawing takes one core only.
    with ProcessPoolExecutor() as pool:
        drawn = list(pool.map(_draw, jobs))
    run.params = {"panels": list(settings), "explainers": explainers}
    run.artifacts += [str(REPORTS / "figures" / f"{n}.{s}") for n in drawn for s in ("png", "pdf")]
    run.artifacts.append(str(REPORTS / "results.md"))


def _draw(job: tuple[str, Callable[..., Figure], tuple[Any, ...]]) -> str:
    name, draw, arguments = job
    save_figure(draw(*arguments), REPORTS / "figures" / name)
    return name


def _heatmaps(panel: str, explainer: str, count: int) -> np.ndarray:
    path = DATA / "heatmaps" / panel / explainer / "heatmaps.npy"
    return np.asarray(read_array(path)[:count])


def _figure7(name: str, title: str) -> Figure:
    folder = DATA / "checkpoints" / name
    table = read_csv(REPORTS / "figure7.csv")
    rows = table.pop("data_set") == name
    correlation = read_json(REPORTS / "checkpoints.json")[name]
    maps = np.asarray(read_array(folder / "heatmaps.npy")[:, 0])
    image = np.asarray(Dataset.load(folder / "shown").pixels[0])
    return draw_figure7({k: v[rows] for k, v in table.items()}, correlation, image, maps, title)
