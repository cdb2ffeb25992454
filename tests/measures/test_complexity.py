"""Entropy and file size of heatmaps."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import aopc
from aopc.measures.complexity import RENDERINGS, complexity_columns, render, zero_heatmaps

finite = st.floats(-100, 100, width=32)


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
def test_minmax_rendering_ignores_scale_and_offset(heatmap: np.ndarray, scale: float, offset: float) -> None:
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


@pytest.mark.parametrize(("format", "options"), [("png", {"compress_level": 9}), ("jpeg", {"quality": 90})])
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
