"""One house style: the same method in the same colour everywhere, the same figure in the same bytes."""

from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aopc.figures.style import (
    DIVERGING,
    SEQUENTIAL,
    STYLES,
    choice_label,
    colour_range,
    house_style,
    save_figure,
    show_heatmap,
    style_of,
)


def test_no_two_explainers_look_alike() -> None:
    looks = {name: style_of(name, list(STYLES))[1:] for name in STYLES}
    for one, other in combinations(looks, 2):
        assert looks[one] != looks[other], (one, other)


def test_users_explainers_are_dealt_colours_that_stay() -> None:
    """Whatever of ours stands beside them."""
    mine = [style_of(f"mine:{i}", ["random", "mine:0", "mine:1"]) for i in range(2)]
    assert mine[0][1] != mine[1][1]
    assert style_of("mine:0", ["mine:0", "sensitivity-l2", "mine:1"]) == mine[0]
    assert mine[0][0] == "mine:0"


def test_heatmaps_with_negative_values_are_drawn_around_zero() -> None:
    assert colour_range(np.array([[-2.0, 1.0]])) == (-colour_range(np.array([[2.0, 1.0]]))[1],
                                                     colour_range(np.array([[2.0, 1.0]]))[1],
                                                     DIVERGING)  # fmt: skip
    low, high, name = colour_range(np.array([[0.0, 3.0]]))
    assert (low, name) == (0.0, SEQUENTIAL)
    assert 0 < high <= 3
    # A single pixel does not decide, unless it is all there is; nothing at all is no error.
    many = np.ones((100, 100))
    many[0, 0] = 1000
    assert colour_range(many)[1] == 1
    assert colour_range(np.eye(1, 1000))[1] == 1
    assert colour_range(np.zeros((3, 3))) == (0.0, 1.0, SEQUENTIAL)
    assert np.isfinite(colour_range(np.array([[np.nan, 1.0]]))[:2]).all()


def test_a_users_removal_has_its_own_name() -> None:
    assert choice_label("abpc") == "ABPC"
    assert choice_label("mine:removal") == "mine:removal"


def test_the_same_figure_has_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        with house_style():
            figure = Figure(figsize=(2, 2))
            show_heatmap(figure.subplots(), np.arange(9.0).reshape(3, 3) - 4)
        save_figure(figure, tmp_path / folder / "figure")
    for suffix in ("png", "pdf"):
        one, two = ((tmp_path / f / f"figure.{suffix}").read_bytes() for f in "ab")
        assert one == two


def test_a_note_stands_above_a_figure_with_its_own_title(tmp_path: Path) -> None:
    """Whole, whatever its length, in the picture's bounds."""
    note = "Variant: " + "; ".join(f"section.setting{i}: before → after" for i in range(4))
    for title in ("", "Objects"):
        with house_style():
            figure = Figure(figsize=(3.5, 2))
            figure.subplots().set_title("axes")
            if title:
                figure.suptitle(title)
        save_figure(figure, tmp_path / "figure", note)
        said = figure.get_suptitle()
        assert " ".join(said.split()) == f"{note} {title}".strip()
        (shown,) = [text for text in figure.texts if text.get_text() == said]
        (left, low), (right, high) = shown.get_window_extent().get_points() / figure.dpi
        assert 0 <= left < right <= 3.5
        assert 0 <= low < high <= 2
