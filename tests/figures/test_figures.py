"""Every figure and table that is drawn of a table in reports/, from the committed ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from matplotlib.table import Cell
from matplotlib.text import Text

from aopc.base.files import read_csv, read_json
from aopc.figures.agreement import draw_agreement
from aopc.figures.figure2 import draw_figure2
from aopc.figures.figure4 import draw_figure4
from aopc.figures.figure5 import draw_figure5
from aopc.figures.figure7 import draw_figure7
from aopc.figures.on_object import draw_ground_truth
from aopc.figures.ranks import draw_ranks
from aopc.figures.spatial import draw_spatial
from aopc.figures.style import style_of
from aopc.figures.table1 import draw_table1
from pipeline import ROOT

REPORTS = ROOT / "reports"
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
TITLES = {name: panel["title"] for name, panel in PARAMS["panels"].items()}
EXPLAINERS: list[str] = PARAMS["explainers"]


def table(name: str) -> dict[str, Any]:
    return read_csv(REPORTS / f"{name}.csv")


def metrics() -> Any:
    return read_json(REPORTS / "metrics.json")


def words(figure: Figure) -> str:
    """All that is written in it, in one line."""
    found = [text.get_text() for text in figure.findobj(Text)]
    found += [cell.get_text().get_text() for cell in figure.findobj(Cell)]
    return " | ".join(" ".join(text.split()) for text in found)


def figure2() -> Figure:
    maps = {e: np.eye(8, dtype=np.float32) for e in EXPLAINERS if e != "random"}
    return draw_figure2(table("figure2"), np.zeros((8, 8, 3), np.uint8), maps, TITLES, 0)


@pytest.mark.parametrize(
    ("draw", "data"),
    [
        (figure2, "figure2"),
        (lambda: draw_figure4(table("figure4"), TITLES), "figure4"),
        (lambda: draw_figure5(table("figure5"), TITLES, EXPLAINERS), "figure5"),
        (lambda: draw_ranks(table("choices"), TITLES), "choices"),
        (lambda: draw_agreement(table("agreement"), TITLES), "agreement"),
        (lambda: draw_spatial(table("spatial"), TITLES), "spatial"),
        (lambda: draw_ground_truth(table("ground_truth"), metrics(), TITLES), "ground_truth"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_every_data_set_of_the_table_is_named(draw: Callable[[], Figure], data: str) -> None:
    said = words(draw())
    for name in set(table(data)["data_set"].tolist()):
        assert TITLES[name] in said


@pytest.mark.parametrize(
    "draw",
    [
        lambda: draw_figure4(table("figure4"), TITLES),
        lambda: draw_figure5(table("figure5"), TITLES, EXPLAINERS),
        lambda: draw_ranks(table("choices"), TITLES),
        lambda: draw_spatial(table("spatial"), TITLES),
    ],
)
def test_every_explainer_is_named_by_its_label(draw: Callable[[], Figure]) -> None:
    said = words(draw())
    for explainer in EXPLAINERS:
        if explainer != "random":
            assert style_of(explainer, EXPLAINERS)[0] in said


def test_a_training_is_drawn_with_its_rank_correlation() -> None:
    whole = table("figure7")
    rows = whole.pop("data_set") == "objects"
    own = {name: values[rows] for name, values in whole.items()}
    found = read_json(REPORTS / "checkpoints.json")["objects"]
    maps = np.zeros((rows.sum(), 8, 8), np.float32)
    figure = draw_figure7(own, found, np.zeros((8, 8, 3), np.uint8), maps, "A training")
    said = words(figure)
    assert "A training" in said
    assert f"{found['rho']:.2f}" in said


def test_table_1_holds_the_mean_sizes_and_entropies() -> None:
    said = words(draw_table1(metrics(), EXPLAINERS))
    for name, found in metrics().items():
        assert name in said
        for explainer in EXPLAINERS:
            for measure in ("png_kb", "jpeg_kb", "entropy"):
                assert f"| {found[explainer][measure]:.2f} ± " in said
