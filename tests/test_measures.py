"""AOPC, ABPC, entropy, file size, and the intervals."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import aopc
from aopc.measures.statistics.bootstrap import bootstrap_mean
from aopc.measures.complexity import RENDERINGS, complexity_columns, render, zero_heatmaps
from aopc.measures.aopc import aopc_curves
from aopc.measures.summary import Panel
from aopc.engine.curves import Curves

finite = st.floats(-100, 100, width=32)


def test_aopc_by_hand() -> None:
    """Two images, two repeats, L = 2: the drops are 0 1 3, 0 3 5; and 0 0 2, 0 0 4."""
    curves = np.array([[[5.0, 4, 2], [5, 2, 0]], [[2, 2, 0], [2, 2, -2]]])
    np.testing.assert_allclose(aopc_curves(curves), [[0, 1, 2], [0, 0, 1]])
    assert aopc.aopc(curves) == pytest.approx(1.5)


def test_abpc_by_hand() -> None:
    lerf = np.array([[[5.0, 5, 4]]])
    morf = np.array([[[5.0, 3, 0], [5, 1, 0]]])
    assert aopc.abpc(lerf, morf) == pytest.approx((0 + 3 + 4) / 3)


def test_curves_objects_give_either_output() -> None:
    values = np.array([[[3.0, 1.0]]], dtype=np.float32)
    curves = Curves(values, values / 10, np.array([0]), ("a",))
    assert aopc.aopc(curves) == pytest.approx(1.0)
    assert aopc.aopc(curves, "probability") == pytest.approx(0.1)


@given(arrays(np.float64, (3, 2, 6), elements=finite))
def test_aopc_is_the_sum_of_the_equation(curves: np.ndarray) -> None:
    total = sum(curves[i, :, 0].mean() - curves[i, :, k].mean() for i in range(3) for k in range(6))
    assert aopc.aopc(curves) == pytest.approx(total / 6 / 3, abs=1e-9)


def test_wrong_shape_of_curves_is_said() -> None:
    with pytest.raises(aopc.InputError, match="trajectories"):
        aopc.aopc(np.zeros((3, 4)))
    with pytest.raises(aopc.InputError, match="same images and steps"):
        aopc.abpc(np.zeros((1, 1, 3)), np.zeros((1, 1, 4)))


def test_entropy_has_matlabs_values() -> None:
    """MATLAB: entropy of a constant image is 0; of all 256 grey levels once, 8 bit."""
    assert aopc.entropy(np.full((4, 4), 3.7)) == 0
    assert aopc.entropy(np.arange(256.0).reshape(16, 16)) == pytest.approx(8)
    assert aopc.entropy([[0, 0], [0, 1]]) == pytest.approx(2 - 0.75 * np.log2(3))


@given(arrays(np.float64, (5, 7), elements=finite), st.sampled_from(sorted(RENDERINGS)))
def test_entropy_is_that_of_the_histogram(heatmap: np.ndarray, rendering: str) -> None:
    grey = render(heatmap, rendering)
    p = np.array([(grey == level).mean() for level in range(256)])
    expected = -sum(q * np.log2(q) for q in p if q > 0)
    assert aopc.entropy(heatmap, rendering) == pytest.approx(expected, abs=1e-9)


@given(arrays(np.float64, (4, 4), elements=finite), st.floats(0.5, 4), finite)
@settings(max_examples=50)
def test_minmax_rendering_ignores_scale_and_offset(
    heatmap: np.ndarray, scale: float, offset: float
) -> None:
    # Up to a grey level, where rounding falls the other way.
    difference = render(scale * heatmap + offset).astype(int) - render(heatmap)
    if np.ptp(heatmap) > 1e-3:
        assert np.abs(difference).max() <= 1


def test_renderings_draw_negative_relevance_as_they_say() -> None:
    heatmap = np.array([[-2.0, 0.0, 1.0]])
    assert render(heatmap, "minmax").tolist() == [[0, 170, 255]]
    assert render(heatmap, "symmetric").tolist() == [[0, 128, 191]]
    assert render(heatmap, "positive").tolist() == [[0, 0, 255]]
    assert render(heatmap, "absolute").tolist() == [[255, 0, 128]]
    for rendering in RENDERINGS:
        assert len(np.unique(render(np.zeros((3, 3)), rendering))) == 1


@pytest.mark.parametrize(
    ("format", "options"), [("png", {"compress_level": 9}), ("jpeg", {"quality": 90})]
)
def test_file_size_is_that_of_pillows_file(format: str, options: dict) -> None:
    heatmap = np.random.default_rng(0).normal(size=(40, 50))
    scaled = (heatmap - heatmap.min()) / np.ptp(heatmap) * 255
    file = io.BytesIO()
    Image.fromarray(np.round(scaled).astype(np.uint8)).save(file, format, **options)
    assert aopc.file_size(heatmap, format) == pytest.approx(len(file.getvalue()) / 1024, rel=0.01)


def test_bad_heatmaps_and_names_are_said() -> None:
    with pytest.raises(aopc.InputError, match="finite"):
        aopc.entropy([[np.nan, 1.0]])
    with pytest.raises(aopc.InputError, match="did you mean 'minmax'"):
        aopc.entropy([[0.0, 1.0]], "minmx")
    with pytest.raises(aopc.InputError, match="did you mean 'jpeg'"):
        aopc.file_size([[0.0, 1.0]], "jpg")


def test_complexity_counts_zero_and_nonfinite_heatmaps() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    maps[1], maps[2] = 0, np.nan
    assert zero_heatmaps(maps).tolist() == [False, True, False]
    table = complexity_columns("x", maps, ["a", "b", "c"], "minmax")
    assert table["zero"] == [False, True, False]
    assert table["nonfinite"] == [False, False, True]
    assert np.isnan(table["entropy"][2])


def test_bootstrap_agrees_with_normal_theory() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=400)
    mean, low, high = bootstrap_mean(values).numbers
    error = values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)


def test_bootstrap_interval_covers_as_often_as_it_says() -> None:
    """95 % nominal; 200 samples of 60 exponential values, whose percentile interval is a bit short."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_mean(rng.exponential(size=60), seed=trial, resamples=1000).numbers[1:]
        hits += low <= 1 <= high
    assert 0.89 <= hits / 200 <= 0.985


def test_bootstrap_is_seeded_and_leaves_nan_out() -> None:
    values = np.random.default_rng(0).normal(size=(30, 4))
    a, b = bootstrap_mean(values, seed=3), bootstrap_mean(values, seed=3)
    np.testing.assert_array_equal(a.low, b.low)
    assert (a.low != bootstrap_mean(values, seed=4).low).any()
    holed = np.concatenate([values, np.full((5, 4), np.nan)])
    np.testing.assert_array_equal(bootstrap_mean(holed, seed=3).high, a.high)
    assert bootstrap_mean(holed).images == 30
    assert np.isnan(bootstrap_mean([np.nan]).numbers).all()
    mean, low, high = bootstrap_mean([3.0]).numbers
    assert mean == 3
    assert np.isnan([low, high]).all()


def _panel(broken: bool = False) -> Panel:
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
    columns = [
        complexity_columns(e, rng.normal(size=(40, 8, 8)).astype(np.float32), ids, "minmax")
        for e in by_name
    ]
    table = {k: np.array(columns[0][k] + columns[1][k]) for k in columns[0]}
    return Panel("demo", by_name, table, seed=0)


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
        Panel("x", {"lrp": panel.curves["lrp"]}, panel.complexity, 0)
    other = panel.curves["random"]["random"]
    moved = Curves(other.logits, other.probabilities, other.targets, other.image_ids[::-1])
    with pytest.raises(aopc.InputError, match="other images"):
        Panel("x", {**panel.curves, "lrp": {"morf": moved}}, panel.complexity, 0)
