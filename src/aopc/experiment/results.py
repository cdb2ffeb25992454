"""The results of an experiment on one data set: their files, and what the user should know of them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aopc.base.errors import InputError
from aopc.base.files import write_csv, write_json
from aopc.base.names import listed
from aopc.measures.abpc import abpc_per_image
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.summary import Summary, Table, joined
from aopc.perturbation.curves import CurvesByOrder


@dataclass(frozen=True)
class Outcome:
    """The measures of the main experiment, what the user should know about them, the network's accuracy where labels
    are known, and one row a condition × explainer (:func:`condition_rows`).
    """

    summary: Summary
    warnings: list[str]
    accuracy: float | None
    conditions: list[dict[str, Any]] = field(default_factory=list)


def write_summaries(summaries: Sequence[Summary], folder: Path) -> Table:
    """Write ``metrics.json``, ``figure4.csv`` and ``paired_differences.csv``; returns Figure 4's data."""
    relative = joined([s.relative_table() for s in summaries])
    write_json(folder / "metrics.json", {s.name: s.metrics() for s in summaries})
    write_csv(folder / "figure4.csv", relative)
    differences = joined([s.difference_table() for s in summaries])
    write_csv(folder / "paired_differences.csv", differences)
    return relative


def condition_rows(curves: Mapping[str, Mapping[str, CurvesByOrder]], seed: int) -> list[dict[str, Any]]:
    """One row a condition × explainer: the mean AOPC with its interval, and ABPC where there are both orders; of LeRF
    alone it is the area over that curve.
    """
    names = ("condition", "explainer", "aopc", "low", "high", "abpc", "abpc_low", "abpc_high", "images")
    rows = []
    for condition, by_explainer in curves.items():
        for explainer, found in by_explainer.items():
            area = bootstrap_mean(aopc_curves(next(iter(found.values())))[:, -1], seed=seed)
            both = {"morf", "lerf"} <= set(found)
            between = abpc_per_image(found["lerf"], found["morf"]) if both else [np.nan]
            abpc = bootstrap_mean(between, seed=seed)
            row = (condition, explainer, *area.numbers, *abpc.numbers, area.images)
            rows.append(dict(zip(names, row, strict=True)))
    return rows


def rows_as_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A table's rows as its columns."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def warnings_of(summary: Summary) -> list[str]:
    """Heatmaps that rank nothing, by name."""
    found = []
    for name in summary.explainers:
        rows = summary.complexity["explainer"] == name
        images = summary.complexity["image"][rows]
        for kind, meaning in (
            ("zero", "are zero everywhere: they rank nothing, and their order is random"),
            ("nonfinite", "are not finite: they are left out of the means"),
        ):
            flags = summary.complexity[kind][rows].astype(bool)
            if flags.any():
                affected = listed(images[flags].tolist())
                found.append(f"{flags.sum()} of {len(images)} heatmaps of {name} {meaning} ({affected})")
    return found


def check_folder(out: Path) -> None:
    """Results replace a folder as a whole, so it must be theirs.

    Raises
    ------
    InputError
        If it holds something else.
    """
    occupied = out.is_dir() and any(out.iterdir()) and not (out / "metrics.json").is_file()
    if occupied or out.is_file() or any(parent.is_file() for parent in out.parents):
        raise InputError(f"{out} is no folder of results: give a new folder, or that of an earlier run, for --out")


def write_folder(out: Path, write: Callable[[Path], None]) -> None:
    """Write a folder of results as a whole, in the place of an earlier one.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    folder = out.with_name(f".{out.name}.new")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        write(folder)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
