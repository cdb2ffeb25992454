"""Beyond the paper: which explainer is best under other choices, and how far the rankings agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aopc.figures.style import PAGE, PANEL_COLOURS, PANEL_MARKERS, house_style, style_of

Table = Mapping[str, Sequence[Any]]

#: Choice → a short label.
LABELS = {
    "paper": "paper",
    "probability": "probability",
    "abpc": "ABPC",
    "dirichlet": "Dirichlet",
    "mean": "mean colour",
    "blur": "blur",
    "dropout": "dropout",
    "spatial": "minus own\nclustering",
    "relevance on the object": "mass on\nobject",
    "pointing game": "pointing\ngame",
}


def label_of(choice: str) -> str:
    """What a choice is called in a figure; a user's removal, by its own name."""
    return LABELS.get(choice, choice)


def draw_choices(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """One table a data set: the rank of each explainer (rows) under each choice (columns).

    Parameters
    ----------
    table
        One row a data set × choice × explainer: ``rank``, ``mean``, ``images``. Explainers without a
        rank are left out.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    ranked = np.isfinite(columns["rank"].astype(float))
    columns = {name: values[ranked] for name, values in columns.items()}
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    across = min(2, len(panels))
    rows = -(-len(panels) // across)
    with house_style():
        height = 0.21 * len(explainers) + 0.95
        figure = Figure(figsize=(PAGE, rows * height))
        axes = figure.subplots(rows, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            _ranks(axis, columns, panel, explainers)
            images = columns["images"][columns["data_set"] == panel].max()
            axis.set_title(f"{panel_titles[panel]} (n = {images})")
        for axis in axes[len(panels) :]:
            axis.remove()
        for i, axis in enumerate(axes[: len(panels)]):
            if i % across:
                axis.set_yticklabels([])
    return figure


def _ranks(
    axis: Axes, columns: Mapping[str, NDArray[Any]], panel: str, explainers: list[str]
) -> None:
    here = columns["data_set"] == panel
    choices = list(dict.fromkeys(columns["choice"][here].tolist()))
    ranks = np.full((len(explainers), len(choices)), np.nan)
    for explainer, choice, rank in zip(
        columns["explainer"][here], columns["choice"][here], columns["rank"][here], strict=True
    ):
        ranks[explainers.index(explainer), choices.index(choice)] = rank
    axis.imshow(ranks, cmap="cividis_r", aspect="auto", vmin=1, vmax=len(explainers))
    for (row, column), rank in np.ndenumerate(ranks):
        if np.isfinite(rank):
            dark = rank > len(explainers) / 2
            axis.text(
                column,
                row,
                f"{rank:.0f}",
                ha="center",
                va="center",
                size=6.5,
                weight="bold" if rank == 1 else "normal",
                color="white" if dark else "black",
            )
    axis.set_xticks(range(len(choices)), [label_of(c) for c in choices], rotation=55, size=6)
    axis.set_yticks(
        range(len(explainers)), [style_of(e, explainers)[0] for e in explainers], size=6
    )
    axis.grid(False)


def draw_agreement(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """How the ranking under each choice agrees with the paper's, and by how much LRP leads.

    Parameters
    ----------
    table
        One row a data set × choice: ``rho``, ``low``, ``high`` and ``lead``, ``lead_low``, ``lead_high``.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    shown = ~np.char.endswith(columns["choice"].astype(str), "all images")
    shown &= columns["choice"] != "paper"
    choices = list(dict.fromkeys(columns["choice"][shown].tolist()))
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    with house_style():
        figure = Figure(figsize=(PAGE * 0.62, 0.38 * len(choices) + 1.1))
        axis = figure.subplots()
        axis.axvline(0, color="#666666", linewidth=0.8)
        for i, panel in enumerate(panels):
            for row, choice in enumerate(choices):
                here = shown & (columns["data_set"] == panel) & (columns["choice"] == choice)
                if not here.any():
                    continue
                rho, low, high = (float(columns[c][here][0]) for c in ("rho", "low", "high"))
                y = row + 0.16 * (i - (len(panels) - 1) / 2)
                colour = PANEL_COLOURS[i % 6]
                axis.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.7)
                axis.plot(
                    rho,
                    y,
                    PANEL_MARKERS[i % 6],
                    color=colour,
                    markersize=4,
                    label=panel_titles[panel] if row == 0 else None,
                )
        axis.set_yticks(range(len(choices)), [label_of(c).replace("\n", " ") for c in choices])
        axis.invert_yaxis()
        axis.set_xlim(-1.05, 1.05)
        count, images = (int(columns[c][shown].max()) for c in ("explainers", "images"))
        axis.set_xlabel(
            f"rank correlation ρ with AOPC as the paper takes it\n({count} explainers; n ≤ {images} images)"
        )
        figure.legend(loc="outside lower center", ncols=4, frameon=False, handletextpad=0.1)
    return figure


def draw_spatial(table: Table, panel_titles: Mapping[str, str]) -> Figure:
    """AOPC relative to random order: of each heatmap, and of the same heatmap at random places.

    Parameters
    ----------
    table
        As :func:`aopc.measures.choices.spatial_rows` gives its rows.
    panel_titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    panels = [p for p in panel_titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    with house_style():
        figure = Figure(figsize=(PAGE, 0.2 * len(explainers) + 1.15))
        axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        for axis, panel in zip(axes, panels, strict=True):
            axis.axvline(0, color="#666666", linewidth=1, dashes=(1.2, 1.2))
            for row, explainer in enumerate(explainers):
                here = (columns["data_set"] == panel) & (columns["explainer"] == explainer)
                colour = style_of(explainer, explainers)[1]
                for name, marker, face in (("heatmap", "o", colour), ("clustering", "D", "white")):
                    mean, low, high = (
                        float(columns[f"{name}{end}"][here][0]) for end in ("", "_low", "_high")
                    )
                    axis.plot([low, high], [row, row], color=colour, linewidth=1.1)
                    axis.plot(mean, row, marker, color=colour, markerfacecolor=face, markersize=4.5)
            axis.set_title(f"{panel_titles[panel]} (n = {columns['images'][here][0]})")
            axis.set_xlabel("AOPC relative to\nrandom (score)")
        axes[0].set_yticks(
            range(len(explainers)), [style_of(e, explainers)[0] for e in explainers], size=6.5
        )
        axes[0].invert_yaxis()
        for marker, face, label in (
            ("o", "#444444", "the heatmap"),
            ("D", "white", "the same heatmap at random places"),
        ):
            axes[0].plot(
                [], [], marker, color="#444444", markerfacecolor=face, markersize=4.5, label=label
            )
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_ground_truth(
    table: Table, metrics: Mapping[str, Any], titles: Mapping[str, str]
) -> Figure:
    """AOPC against the share of the positive relevance on the object, one point an explainer.

    Parameters
    ----------
    table
        One row a data set × choice × explainer, as of :func:`draw_choices`.
    metrics
        Data set → explainer → numbers, for AOPC.
    titles
        Data set → title.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    panels = [p for p in titles if (columns["data_set"] == p).any()]
    explainers = list(dict.fromkeys(columns["explainer"].tolist()))
    with house_style():
        figure = Figure(figsize=(PAGE, 2.75))
        axes = np.atleast_1d(figure.subplots(1, len(panels)))
        for axis, panel in zip(axes, panels, strict=True):
            here = (columns["data_set"] == panel) & (columns["choice"] == "relevance on the object")
            for i in np.flatnonzero(here):
                explainer = str(columns["explainer"][i])
                label, colour, _ = style_of(explainer, explainers)
                found = metrics[panel][explainer]
                axis.errorbar(
                    columns["mean"][i] * 100,
                    found["aopc"],
                    xerr=[
                        [100 * (columns["mean"][i] - columns["low"][i])],
                        [100 * (columns["high"][i] - columns["mean"][i])],
                    ],
                    yerr=[
                        [found["aopc"] - found["aopc_low"]],
                        [found["aopc_high"] - found["aopc"]],
                    ],
                    fmt="o",
                    color=colour,
                    markersize=4,
                    linewidth=0.9,
                    label=label if panel == panels[0] else None,
                )
            axis.set_title(f"{titles[panel]} (n = {columns['images'][here].max()})")
            axis.set_xlabel("positive relevance on the object (%)")
        axes[0].set_ylabel("AOPC (class score before softmax)")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, handletextpad=0.1)
    return figure
