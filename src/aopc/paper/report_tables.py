"""The tables and numbers in reports/, of all that was measured."""

from pathlib import Path
from typing import Any

from aopc.base.files import write_csv, write_json
from aopc.experiment.results import rows_as_columns, write_summaries
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.statistics.correlation import rank_correlation
from aopc.measures.summary import Table, joined
from aopc.paper.claims.evidence import Training
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
    for name, training in measured.trainings.items():
        found, relative = (
            rank_correlation(values, training.correct, seed=measured.seed)
            for values in (training.heatmap, training.heatmap - training.random)
        )
        numbers[name] = {
            **{key: getattr(found, key) for key in ("rho", "low", "high")},
            **{f"relative_{key}": getattr(relative, key) for key in ("rho", "low", "high")},
            "checkpoints": found.points,
            "images": len(training.heatmap),
            "test_images": len(training.correct),
        }
        points, rows = list(training.iterations), _figure7(training, measured.seed)
        tables.append({"data_set": [name] * len(points), "iteration": points, **rows})
    write_json(folder / "checkpoints.json", numbers)
    write_csv(folder / "figure7.csv", joined(tables) if tables else {"data_set": []})
    return numbers


def _figure7(training: Training, seed: int) -> Table:
    """One row a checkpoint."""
    table: Table = {}
    for name, values in (
        ("aopc", training.heatmap),
        ("random", training.random),
        ("relative_aopc", training.heatmap - training.random),
        ("accuracy", training.correct),
    ):
        found = bootstrap_mean(values, seed=seed)
        table |= {name: found.mean.tolist(), f"{name}_low": found.low.tolist(), f"{name}_high": found.high.tolist()}
    for name, values in (("images", training.heatmap), ("test_images", training.correct)):
        table[name] = [len(values)] * values.shape[1]
    return table


def _write_robustness(measured: Measured, folder: Path) -> None:
    names = ("choices", "agreement", "further", "spatial", "ground_truth")
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    explainers = measured.explainers
    for name, summary in measured.summaries.items():
        known, controls = measured.truth[name], measured.controls[name]
        found = robustness_of(summary, controls, known)
        tables["choices"] += found.means(explainers)
        tables["agreement"] += found.agreement(explainers)
        tables["further"] += found.against_further(explainers)
        if SPATIAL in controls:
            tables["spatial"] += spatial_rows(summary, controls[SPATIAL], found)
        if known:
            whole = robustness_of(summary, {}, known)
            means, agreement = (
                [r for r in rows if r["choice"] in (MASS, POINTING)]
                for rows in (whole.means(explainers), whole.agreement(explainers))
            )
            tables["ground_truth"] += means
            tables["agreement"] += [{**r, "choice": f"{r['choice']}, all images"} for r in agreement]
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", rows_as_columns(rows) or {"data_set": []})


def _write_conservation_and_sizes(measured: Measured, folder: Path) -> None:
    """The data of Figures 2 and 5."""
    ratios: Table = {k: [] for k in ("data_set", "explainer", "image", "sum_over_score")}
    sizes: Table = {k: [] for k in ("data_set", "explainer", "image", "entropy", "png_kb", "jpeg_kb", "zero")}
    for name, summary in measured.summaries.items():
        for explainer, values in measured.conservation[name].items():
            ratios["data_set"] += [name] * len(values)
            ratios["explainer"] += [explainer] * len(values)
            ratios["image"] += summary.curves[RANDOM]["random"].image_ids
            ratios["sum_over_score"] += values.tolist()
        sizes["data_set"] += [name] * len(summary.complexity["image"])
        for column in list(sizes)[1:]:
            sizes[column] += summary.complexity[column].tolist()
    write_csv(folder / "figure2.csv", ratios)
    write_csv(folder / "figure5.csv", sizes)
