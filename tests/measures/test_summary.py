"""The numbers of the report, with their intervals."""

import numpy as np
import pytest

import aopc
from aopc.measures.complexity import complexity_columns
from aopc.measures.summary import Summary
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
