"""The numbers of the report, with their intervals."""

from dataclasses import replace

import numpy as np
import pytest

import aopc
from aopc.measures.complexity import complexity_columns
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.summary import Summary, joined
from aopc.perturbation.curves import Curves


def _panel(broken: bool = False) -> Summary:
    rng = np.random.default_rng(0)
    ids = tuple(f"i{k}" for k in range(40))
    base = rng.normal(10, 3, size=(40, 1, 1)) - np.linspace(0, 2, 6)

    def curves(slope: float) -> Curves:
        values = (base - slope * np.arange(6) + rng.normal(0, 0.1, (40, 2, 6))).astype(np.float32)
        return Curves(values, values, np.zeros(40, int), ids)

    better = curves(0.5)
    if broken:
        better.logits[3] = np.nan
    by_name = {
        "lrp": {"morf": better, "lerf": curves(0.1)},
        "random": {"random": curves(0.0)},
    }
    columns = [complexity_columns(e, rng.normal(size=(40, 8, 8)).astype(np.float32), ids, "minmax") for e in by_name]
    table = {k: np.array(columns[0][k] + columns[1][k]) for k in columns[0]}
    return Summary("demo", by_name, table, seed=0)


def test_panel_metrics_have_the_documented_form() -> None:
    metrics = _panel().metrics()
    wanted = {"aopc", "relative_to_random", "entropy", "png_kb", "jpeg_kb"}
    wanted |= {f"{m}_{end}" for m in ("aopc", "relative_to_random") for end in ("low", "high")}
    wanted |= {"zero_heatmaps", "nonfinite_heatmaps", "images"}
    for found in metrics.values():
        assert wanted <= set(found)
    found = metrics["lrp"]
    expected = 0.5 * np.arange(6).mean()
    assert found["relative_to_random"] == pytest.approx(expected, abs=0.05)
    low, high = found["relative_to_random_low"], found["relative_to_random_high"]
    assert low < found["relative_to_random"] < high
    assert metrics["random"]["relative_to_random"] == 0
    assert found["abpc"] == pytest.approx(0.4 * np.arange(6).mean(), abs=0.05)


def test_paired_differences_are_narrower_than_the_measures() -> None:
    """The point of common noise on common images."""
    panel = _panel()
    _, low, high = panel.difference("lrp", "random").numbers
    _, own_low, own_high = panel.absolute("random").numbers
    assert high - low < 0.5 * (own_high - own_low) + 0.2
    assert panel.difference_table()["difference"] == [panel.difference("lrp", "random").numbers[0]]


def test_images_with_nan_curves_are_left_out_and_counted() -> None:
    metrics = _panel(broken=True).metrics()
    assert metrics["lrp"]["images"] == 39
    assert metrics["random"]["images"] == 40


def test_panel_needs_the_baseline_and_the_same_images() -> None:
    panel = _panel()
    with pytest.raises(aopc.InputError, match="random is the baseline"):
        Summary("x", {"lrp": panel.curves["lrp"]}, panel.complexity, 0)
    other = panel.curves["random"]["random"]
    moved = Curves(other.logits, other.probabilities, other.targets, other.image_ids[::-1])
    with pytest.raises(aopc.InputError, match="other images"):
        Summary("x", {**panel.curves, "lrp": {"morf": moved}}, panel.complexity, 0)


def test_no_image_counts_twice() -> None:
    """A panel that holds an image twice, in curves or in heatmaps, would have intervals that are too narrow."""
    panel = _panel()
    twice = np.arange(40).repeat(2)
    curves = {e: {order: c.take(twice) for order, c in own.items()} for e, own in panel.curves.items()}
    with pytest.raises(aopc.InputError, match="the curves on demo are of some image twice"):
        Summary("demo", curves, panel.complexity, 0)
    table = {k: np.concatenate([v, v]) for k, v in panel.complexity.items()}
    with pytest.raises(aopc.InputError, match="the heatmaps on demo are of some image twice"):
        Summary("demo", panel.curves, table, 0)


STEPS = np.array([0.0, 1.0, 3.0])
#: AOPC of each of four images after one step and after two, for a curve that falls by 1 and then by 2 more:
#: (0 + 1) / 2 and (0 + 1 + 3) / 3.
UNIT = np.array([0.0, 1 / 2, 4 / 3])
SPEEDS = {"lrp": [4.0, 5.0, 6.0, 9.0], "gradient": [2.0, 2.0, 3.0, 1.0], "random": [1.0, 1.0, 2.0, 4.0]}


def _by_hand() -> Summary:
    """Straight readings: an image's curve is 20 − speed · STEPS, and each column of the table is its own."""
    ids = ("a", "b", "c", "d")

    def curves(speed: np.ndarray) -> Curves:
        values = (20 - speed[:, None, None] * STEPS).astype(np.float32)
        return Curves(values, values / 64, np.zeros(4, int), ids)

    of = {e: np.array(s) for e, s in SPEEDS.items()}
    by_name = {
        "lrp": {"morf": curves(of["lrp"]), "lerf": curves(of["lrp"] / 2)},
        "gradient": {"morf": curves(of["gradient"])},
        "random": {"random": curves(of["random"])},
    }
    base = np.arange(12.0)
    table = {
        "explainer": np.repeat(list(by_name), 4),
        "image": np.tile(ids, 3),
        "entropy": base + 1,
        "png_kb": base**2,
        "jpeg_kb": 100 - base,
        "zero": np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0], dtype=bool),
        "nonfinite": np.array([0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool),
    }
    return Summary("pictures", by_name, table, seed=7)  # type: ignore[arg-type]


def test_metrics_by_hand() -> None:
    """Each under its own name, with the interval of its own values under the summary's seed."""
    metrics = _by_hand().metrics()
    speeds = {e: np.array(s) for e, s in SPEEDS.items()}
    drawn = {"lrp": [0, 2, 3], "gradient": [4, 5, 6, 7], "random": [10, 11]}
    assert list(metrics) == list(SPEEDS)
    for explainer, rows in drawn.items():
        values = {
            "aopc": speeds[explainer] * UNIT[2],
            "relative_to_random": (speeds[explainer] - speeds["random"]) * UNIT[2],
            "entropy": np.array(rows) + 1.0,
            "png_kb": np.array(rows) ** 2.0,
            "jpeg_kb": 100.0 - np.array(rows),
        }
        if explainer == "lrp":
            values["abpc"] = speeds["lrp"] / 2 * STEPS.mean()
        expected = {"images": 4}
        for name, numbers in values.items():
            interval = bootstrap_mean(numbers, seed=7).numbers
            assert interval[0] == pytest.approx(numbers.mean())
            expected |= dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))
        zeros, nonfinite = {"lrp": (1, 0), "gradient": (0, 3), "random": (2, 0)}[explainer]
        expected |= {"zero_heatmaps": zeros, "nonfinite_heatmaps": nonfinite}
        assert metrics[explainer] == pytest.approx(expected, abs=1e-6)


def test_the_table_of_figure_4_by_hand() -> None:
    table = _by_hand().relative_table()
    names = ["data_set", "explainer", "step", "relative_aopc", "low", "high", "images"]
    assert list(table) == names
    assert table["data_set"] == ["pictures"] * 6
    assert table["explainer"] == ["lrp"] * 3 + ["gradient"] * 3
    assert table["step"] == [0, 1, 2] * 2
    assert table["images"] == [4] * 6
    expected = [4 * UNIT, 0 * UNIT]  # mean speeds 6 and 2, less 2
    np.testing.assert_allclose(table["relative_aopc"], np.concatenate(expected), atol=1e-6)
    ahead = np.array(SPEEDS["gradient"]) - SPEEDS["random"]
    interval = bootstrap_mean(ahead[:, None] * UNIT, seed=7)
    np.testing.assert_allclose(table["low"][3:], interval.low, atol=1e-6)
    np.testing.assert_allclose(table["high"][3:], interval.high, atol=1e-6)


def test_the_table_of_differences_by_hand() -> None:
    table = _by_hand().difference_table()
    assert list(table) == ["data_set", "explainer", "other", "difference", "low", "high", "images"]
    pairs = [("lrp", "gradient"), ("lrp", "random"), ("gradient", "random")]
    assert list(zip(table["explainer"], table["other"], strict=True)) == pairs
    assert table["data_set"] == ["pictures"] * 3
    assert table["images"] == [4] * 3
    for row, (one, other) in enumerate(pairs):
        values = (np.array(SPEEDS[one]) - SPEEDS[other]) * UNIT[2]
        found = (table["difference"][row], table["low"][row], table["high"][row])
        assert found == pytest.approx(bootstrap_mean(values, seed=7).numbers, abs=1e-6)


def test_intervals_are_the_seeds() -> None:
    """Another seed, another interval: none is fixed on the way."""
    first, second = (replace(_panel(), seed=seed) for seed in (7, 8))
    assert (first.relative_curve("lrp").low != second.relative_curve("lrp").low).any()
    one, other = first.metrics()["lrp"], second.metrics()["lrp"]
    for name in one:
        if "_kb" not in name:  # whole bytes: two intervals may be the same
            assert (one[name] != other[name]) == name.endswith(("_low", "_high")), name


def test_tables_are_joined_row_by_row() -> None:
    assert joined([{"a": [1, 2], "b": [3, 4]}, {"a": [5], "b": [6]}]) == {"a": [1, 2, 5], "b": [3, 4, 6]}
