"""The tables and numbers in reports/, of all that was measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.files import write_csv, write_json
from aopc.experiment.results import rows_as_columns, write_summaries
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.statistics.correlation import rank_correlation
from aopc.measures.summary import Table, joined
from aopc.paper.measured import Measured
from aopc.paper.robustness import MASS, POINTING, robustness_of, spatial_rows
from aopc.perturbation.order import RANDOM
from aopc.perturbation.protocol import SPATIAL


def write_tables(measured: Measured, folder: Path) -> dict[str, float]:
    """Write ``metrics.json``, ``checkpoints.json`` and the tables; returns the numbers for MLflow."""
    summaries = list(measured.summaries.values())
    write_summaries(summaries, folder)
    numbers = {
        f"{summary.name}/{explainer}/{measure}": float(value)
        for summary in summaries
        for explainer, found in summary.metrics().items()
        for measure, value in found.items()
    }
    for name, found in _write_checkpoints(measured, folder).items():
        numbers |= {f"{name}/{k}": v for k, v in found.items()}
    similarity = measured.similarity
    digits = {k: v.tolist() for k, v in similarity.items()} if similarity else {"network": []}
    write_csv(folder / "figure3.csv", digits)
    _write_robustness(measured, folder)
    _write_conservation_and_sizes(measured, folder)
    return numbers


def _write_checkpoints(measured: Measured, folder: Path) -> dict[str, dict[str, float]]:
    numbers: dict[str, dict[str, float]] = {}
    tables: list[Table] = []
    seed = measured.seed
    for name, training in measured.trainings.items():
        found = rank_correlation(training.heatmap, training.correct, seed=seed)
        relative = rank_correlation(training.heatmap - training.random, training.correct, seed=seed)
        numbers[name] = {
            **{k: getattr(found, k) for k in ("rho", "low", "high")},
            **{f"relative_{k}": getattr(relative, k) for k in ("rho", "low", "high")},
            "checkpoints": found.points,
            "images": len(training.heatmap),
            "test_images": len(training.correct),
        }
        points = measured.iterations[name]
        rows = figure7_table(points, training.heatmap, training.random, training.correct, seed)
        tables.append({"data_set": [name] * len(points), **rows})
    write_json(folder / "checkpoints.json", numbers)
    write_csv(folder / "figure7.csv", joined(tables) if tables else {"data_set": []})
    return numbers


def figure7_table(
    iterations: Sequence[int],
    heatmap: NDArray[np.float64],
    random: NDArray[np.float64],
    correct: NDArray[np.bool_],
    seed: int,
) -> dict[str, list[Any]]:
    """The data of Figure 7: one row a checkpoint.

    Parameters
    ----------
    iterations
        C numbers of iterations.
    heatmap, random
        (N, C): AOPC of each image, by the heatmap's order and in random order.
    correct
        (M, C): whether each test image is classified right.
    seed
        Of the bootstrap.
    """
    intervals = {
        "aopc": bootstrap_mean(heatmap, seed=seed),
        "random": bootstrap_mean(random, seed=seed),
        "relative_aopc": bootstrap_mean(heatmap - random, seed=seed),
        "accuracy": bootstrap_mean(correct, seed=seed),
    }
    table: dict[str, list[Any]] = {"iteration": list(iterations)}
    for name, interval in intervals.items():
        table[name] = interval.mean.tolist()
        table[f"{name}_low"] = interval.low.tolist()
        table[f"{name}_high"] = interval.high.tolist()
    table["images"] = [len(heatmap)] * len(table["iteration"])
    table["test_images"] = [len(correct)] * len(table["iteration"])
    return table


def _write_robustness(measured: Measured, folder: Path) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("choices", "agreement", "further", "spatial", "ground_truth")
    }
    explainers = measured.explainers
    for name, summary in measured.summaries.items():
        known, controls = measured.truth[name], measured.controls[name]
        found = robustness_of(summary, controls, known)
        rows["choices"] += found.means(explainers)
        rows["agreement"] += found.agreement(explainers)
        rows["further"] += found.against_further(explainers)
        if SPATIAL in controls:
            rows["spatial"] += spatial_rows(summary, controls[SPATIAL], found)
        if known:
            whole = robustness_of(summary, {}, known)
            means, agreement = whole.means(explainers), whole.agreement(explainers)
            rows["ground_truth"] += [r for r in means if r["choice"] in (MASS, POINTING)]
            rows["agreement"] += [
                {**r, "choice": f"{r['choice']}, all images"}
                for r in agreement
                if r["choice"] in (MASS, POINTING)
            ]
    for name, found_rows in rows.items():
        write_csv(folder / f"{name}.csv", rows_as_columns(found_rows) or {"data_set": []})


def _write_conservation_and_sizes(measured: Measured, folder: Path) -> None:
    """The data of Figures 2 and 5."""
    ratios: Table = {k: [] for k in ("data_set", "explainer", "image", "sum_over_score")}
    sizes: Table = {
        k: [] for k in ("data_set", "explainer", "image", "entropy", "png_kb", "jpeg_kb", "zero")
    }
    for name, summary in measured.summaries.items():
        images = summary.curves[RANDOM]["random"].image_ids
        for explainer, values in measured.conservation[name].items():
            ratios["data_set"] += [name] * len(values)
            ratios["explainer"] += [explainer] * len(values)
            ratios["image"] += images
            ratios["sum_over_score"] += values.tolist()
        table = summary.complexity
        sizes["data_set"] += [name] * len(table["image"])
        for column in list(sizes)[1:]:
            sizes[column] += table[column].tolist()
    write_csv(folder / "figure2.csv", ratios)
    write_csv(folder / "figure5.csv", sizes)
