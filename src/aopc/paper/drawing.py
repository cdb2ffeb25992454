"""Every figure of a profile: which there are, and from which files they are drawn."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from aopc.base.files import read_array, read_csv, read_json, read_record
from aopc.data.dataset import Dataset
from aopc.figures.agreement import draw_agreement
from aopc.figures.figure1 import draw_figure1
from aopc.figures.figure2 import METHODS, draw_figure2
from aopc.figures.figure3 import draw_figure3
from aopc.figures.figure4 import draw_figure4
from aopc.figures.figure5 import draw_figure5
from aopc.figures.figure6 import SHOWN, draw_figure6
from aopc.figures.figure7 import draw_figure7
from aopc.figures.on_object import draw_ground_truth
from aopc.figures.ranks import draw_ranks
from aopc.figures.spatial import draw_spatial
from aopc.figures.style import save_figure
from aopc.figures.table1 import draw_table1
from aopc.paper.folders import DATA, REPORTS
from aopc.paper.panel import Panel
from aopc.paper.wording import PAPERS_REMOVAL, taken
from aopc.perturbation.order import RANDOM

if TYPE_CHECKING:
    from aopc.paper.settings import Settings

#: Name, function, arguments.
Drawing = tuple[str, Callable[..., Figure], tuple[Any, ...]]


def draw_all(settings: "Settings", variant: str = "") -> list[Path]:
    """Draw them, each in a process for a core; returns the files. What makes it a ``variant`` stands in each."""
    drawings = [*_digits(), *_methods(settings), *_panels(settings), *_trainings(settings)]
    drawings += _robustness(settings)
    with ProcessPoolExecutor() as pool:
        drawn = list(pool.map(partial(_draw, f"Variant: {variant}" if variant else ""), drawings))
    return [REPORTS / "figures" / f"{name}.{s}" for name in drawn for s in ("png", "pdf")]


def _draw(note: str, drawing: Drawing) -> str:
    name, draw, arguments = drawing
    save_figure(draw(*arguments), REPORTS / "figures" / name, note)
    return name


def _digits() -> list[Drawing]:
    folder = DATA / "digits"
    if not (folder / "figure1-image.npy").exists():
        return []
    about = read_record(folder / "figure3.json")
    first = [np.asarray(read_array(folder / f"figure1-{n}.npy")) for n in ("image", "heatmaps")]
    third = [np.asarray(read_array(folder / f"figure3-{n}.npy")) for n in ("images", "heatmaps")]
    similarity = read_csv(REPORTS / "figure3.csv")
    return [
        ("figure1", draw_figure1, tuple(first)),
        ("figure3", draw_figure3, (similarity, *third, about["explainers"], about["shown"])),
    ]


def _methods(settings: "Settings") -> list[Drawing]:
    first = Panel(next(iter(settings.panels)))
    example = {
        m.explainer: np.asarray(first.heatmaps(m.explainer)[0]) for m in METHODS if m.explainer in settings.explainers
    }
    if not example:
        return []
    image, table = np.asarray(first.dataset().pixels[0]), read_csv(REPORTS / "figure2.csv")
    return [("figure2", draw_figure2, (table, image, example, settings.titles, settings.seed))]


def _panels(settings: "Settings") -> list[Drawing]:
    explainers, titles = list(settings.explainers), settings.titles
    found: list[Drawing] = [
        ("figure4", draw_figure4, (read_csv(REPORTS / "figure4.csv"), titles)),
        ("figure5", draw_figure5, (read_csv(REPORTS / "figure5.csv"), titles, explainers)),
    ]
    for name, title in titles.items():
        panel = Panel(name)
        images = np.asarray(panel.dataset().pixels[:SHOWN])
        # Pictures of heatmaps with a colour for every method; noise is none.
        maps = {e: np.asarray(panel.heatmaps(e)[:SHOWN]) for e in explainers if e != RANDOM}
        drawn = (images, maps, panel.class_names(SHOWN), title)
        found.append((f"figure6-{name}", draw_figure6, drawn))
    return [*found, ("table1", draw_table1, (read_json(REPORTS / "metrics.json"), explainers))]


def _trainings(settings: "Settings") -> list[Drawing]:
    found: list[Drawing] = []
    for name, training in settings.checkpoints.items():
        folder, table = DATA / "checkpoints" / name, read_csv(REPORTS / "figure7.csv")
        rows = table.pop("data_set") == name
        correlation = read_json(REPORTS / "checkpoints.json")[name]
        maps = np.asarray(read_array(folder / "heatmaps.npy")[:, 0])
        image = np.asarray(Dataset.load(folder / "shown").pixels[0])
        own = {k: v[rows] for k, v in table.items()}
        found.append((f"figure7-{name}", draw_figure7, (own, correlation, image, maps, training.title)))
    return found


def _robustness(settings: "Settings") -> list[Drawing]:
    metrics, titles, removal = read_json(REPORTS / "metrics.json"), settings.titles, str(settings.perturbation.removal)
    found: list[Drawing] = []
    for name, draw, more in (
        ("choices", draw_ranks, (titles, "paper" if removal == PAPERS_REMOVAL else "this run")),
        ("agreement", draw_agreement, (titles, taken(removal))),
        ("spatial", draw_spatial, (titles,)),
        ("ground_truth", draw_ground_truth, (metrics, titles)),
    ):
        table = read_csv(REPORTS / f"{name}.csv")
        if len(table["data_set"]):
            found.append((name, draw, (table, *more)))
    return found
