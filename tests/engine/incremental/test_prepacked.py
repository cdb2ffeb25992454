"""Convolutions on weights that are rearranged once."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aopc.engine.incremental import prepacked
from aopc.engine.incremental.prepacked import PrepackedConvolution
from aopc.models.unwritten import unwritten_memory_is_nan
from both_ways import both
from conftest import images, small_network

PACK = PrepackedConvolution._pack


@settings(max_examples=80, deadline=None)
@given(
    groups=st.integers(1, 3),
    widths=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(5, 9), st.integers(5, 9)), min_size=2, max_size=3),
)
def test_prepacked_convolutions_are_convolutions(
    groups: int,
    widths: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    bias: bool,
    layout: torch.memory_format,
    sizes: list[tuple[int, int, int]],
) -> None:
    """The same weights on windows of several sizes, in all precisions; float64 is the reference."""
    inputs, outputs = (groups * n for n in widths)
    torch.manual_seed(inputs)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, 0, dilation, groups=groups, bias=bias).to(memory_format=layout)
    of_prepacked = PrepackedConvolution(layer)
    exact = PrepackedConvolution(copy.deepcopy(layer).double())
    with torch.inference_mode():
        for count, height, width in sizes:
            x = torch.randn(count, height, width, inputs).permute(0, 3, 1, 2)
            expected = exact(x.double())
            assert expected.dtype == torch.float64
            found = of_prepacked(x)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                found = of_prepacked(x)
            assert found.dtype == torch.bfloat16
            torch.testing.assert_close(found.double(), expected, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "size"),
    [
        (1, (3, 3), (1, 2), (9, 3)),
        (1, (5, 2), (1, 3), (9, 2)),
        (1, (5, 3), (1, 2), (9, 4)),
        (1, (6, 3), (1, 3), (14, 4)),
        (1, (2, 4), (2, 2), (9, 4)),
        (9, (2, 3), (2, 3), (10, 3)),
        (10, (5, 7), (2, 2), (13, 8)),
    ],
)
def test_outputs_of_one_column_are_written(
    channels: int, kernel: tuple[int, int], stride: tuple[int, int], size: tuple[int, int], nan_memory: None
) -> None:
    """In memory that holds NaN, in both precisions: torch's own operators leave some of it as it was."""
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 8, kernel, stride)
    with torch.inference_mode():
        x = torch.randn(2, *size, channels).permute(0, 3, 1, 2)
        expected = nn.functional.conv2d(x.double().contiguous(), layer.weight.double(), layer.bias.double(), stride)
        torch.testing.assert_close(PrepackedConvolution(layer)(x), expected.float(), rtol=1e-5, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            found = PrepackedConvolution(layer)(x)
        torch.testing.assert_close(found.double(), expected, rtol=5e-2, atol=5e-2)


@pytest.fixture
def nan_memory() -> Iterator[None]:
    with unwritten_memory_is_nan(torch.device("cpu")):
        yield


@pytest.mark.usefixtures("always")
def test_convolutions_are_prepacked_where_torch_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one by one in vain, and the ordinary way gives the same."""
    model, x = small_network().eval(), images(2, 13, 13)
    packs = []
    monkeypatch.setattr(PrepackedConvolution, "_pack", lambda s, *a: packs.append(s) or PACK(s, *a), raising=True)
    both(model, x)
    packs.clear()  # the first time the plan is tried out, too
    found, _ = both(model, x)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert len(packs) == len(set(packs))
    assert 0 < len(packs) <= convolutions
    monkeypatch.setattr(prepacked, "_PREPACKS", False)
    ordinary, full = both(model, x)
    assert len(packs) <= convolutions
    np.testing.assert_allclose(found, ordinary, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ordinary, full, rtol=1e-5, atol=1e-5)


def test_where_the_processor_refuses_prepacked_weights_the_ordinary_convolution_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in bfloat16 on processors that lack it; but memory that runs out is no such refusal."""
    asked = []

    def refuse(*args: object) -> None:
        asked.append(args)
        raise RuntimeError("needs the cpu support avx512bw")

    monkeypatch.setattr(PrepackedConvolution, "_pack", refuse)
    layer, x = nn.Conv2d(3, 4, 3), images(2, 7, 7)
    convolution = PrepackedConvolution(layer)
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(convolution(x), layer(x), rtol=0, atol=0)
    assert len(asked) == 1

    def exhaust(*args: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(PrepackedConvolution, "_pack", exhaust)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="allocate"):
        PrepackedConvolution(layer)(x)
