"""Figure 4: what is drawn is what stands in the table."""

import numpy as np

from aopc.figures.figure4 import draw_figure4


def table() -> dict[str, list]:
    rows = [
        (data, explainer, step, scale * step, scale * step - 1.0, scale * step + 1.0, images)
        for data, images in (("objects", 30), ("scenes", 12))
        for explainer, scale in (("lrp-epsilon-100", 2.0), ("mine:explainer", 0.5))
        for step in range(5)
    ]
    names = ("data_set", "explainer", "step", "relative_aopc", "low", "high", "images")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def test_each_data_set_has_a_panel_and_each_heatmap_a_line_and_a_band() -> None:
    figure = draw_figure4(table(), {"scenes": "Scenes", "objects": "Objects"})
    assert [axis.get_title() for axis in figure.axes] == ["Scenes (n = 12)", "Objects (n = 30)"]
    for axis in figure.axes:
        zero, *lines = axis.lines
        assert np.asarray(zero.get_ydata()).tolist() == [0, 0]
        assert [line.get_label() for line in lines] == ["LRP ε = 100", "mine:explainer"]
        for line, scale in zip(lines, (2.0, 0.5), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), range(5))
            np.testing.assert_array_equal(line.get_ydata(), scale * np.arange(5))
        assert len(axis.collections) == 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["LRP ε = 100", "mine:explainer"]


def test_a_panel_alone_and_a_heatmap_that_a_data_set_lacks() -> None:
    whole = table()
    kept = [
        i
        for i in range(len(whole["step"]))
        if (whole["data_set"][i], whole["explainer"][i]) != ("scenes", "mine:explainer")
    ]
    some = {name: [values[i] for i in kept] for name, values in whole.items()}
    (axis,) = draw_figure4(some, {"scenes": "Scenes"}).axes
    assert len(axis.lines) == 2
