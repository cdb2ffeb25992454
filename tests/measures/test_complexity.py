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
    """To the byte, in units of 1024."""
    grey = grey_levels()
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format, **options)
    assert aopc.file_size(grey.astype(float), format) == len(file.getvalue()) / 1024


def grey_levels() -> np.ndarray:
    """An image with every grey level, which rendering leaves as it is; smooth enough that its file depends on how hard
    it is compressed.
    """
    y, x = np.mgrid[:90, :120]
    wave = 128 + 90 * np.sin(x / 9) * np.cos(y / 13)
    levels = np.clip(wave, 0, 255).round().astype(np.uint8)
    levels.flat[:256] = np.arange(256)
    return levels


def test_grey_levels_are_drawn_as_they_are_and_compression_matters() -> None:
    grey = grey_levels()
    np.testing.assert_array_equal(render(grey.astype(float)), grey)
    sizes = []
    for level in (8, 9):
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "png", compress_level=level)
        sizes.append(file.tell())
    assert sizes[0] != sizes[1]


def test_the_default_rendering_is_minmax() -> None:
    heatmap = np.array([[-3.0, 0.0, 1.0, 1.5]])
    np.testing.assert_array_equal(render(heatmap), render(heatmap, "minmax"))
    assert aopc.entropy(heatmap) == aopc.entropy(heatmap, "minmax") == 2
    assert aopc.file_size(heatmap, "png") == aopc.file_size(heatmap, "png", "minmax")


def test_heatmaps_of_one_value_are_drawn_without_dividing_by_nothing() -> None:
    with np.errstate(all="raise"):
        for name, level in (("minmax", 0), ("symmetric", 128), ("positive", 0), ("absolute", 0)):
            assert render(np.zeros((2, 2)), name).tolist() == [[level] * 2] * 2
        assert render(np.full((1, 2), -3.0), "positive").tolist() == [[0, 0]]
        assert str(aopc.entropy(np.zeros((2, 2)))) == "0.0"  # not −0


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


@pytest.mark.parametrize("bad", [[1.0, 2.0], [[[1.0, 2.0]]], [[]], [[np.inf, 0.0]], [[-np.inf, 0.0]]], ids=str)
def test_what_is_no_heatmap_is_refused(bad: list) -> None:
    with pytest.raises(aopc.InputError, match="a heatmap must be"):
        render(bad)


@pytest.mark.parametrize("rendering", ["minmax", "absolute"])
def test_each_column_has_its_own_measure(rendering: str) -> None:
    """Image by image, in the rendering that is asked for; one bad pixel is enough for NaN, one good one for not zero."""
    maps = np.random.default_rng(1).normal(size=(4, 9, 7)).astype(np.float32) * np.arange(7)
    maps[1] = 0
    maps[1, 3, 3] = 1
    maps[2, 0, 0] = np.inf
    table = complexity_columns("lrp", maps, ["a", "b", "c", "d"], rendering)
    assert list(table) == ["explainer", "image", "entropy", "png_kb", "jpeg_kb", "zero", "nonfinite"]
    assert table["explainer"] == ["lrp"] * 4
    assert table["image"] == ["a", "b", "c", "d"]
    assert table["zero"] == [False] * 4
    assert table["nonfinite"] == [False, False, True, False]
    for name in ("entropy", "png_kb", "jpeg_kb"):
        assert np.isnan(table[name][2])
    for i in (0, 1, 3):
        assert table["entropy"][i] == aopc.entropy(maps[i], rendering)
        assert table["png_kb"][i] == aopc.file_size(maps[i], "png", rendering)
        assert table["jpeg_kb"][i] == aopc.file_size(maps[i], "jpeg", rendering)
    measured = [table[name][0] for name in ("entropy", "png_kb", "jpeg_kb")]
    assert len(set(measured)) == 3
