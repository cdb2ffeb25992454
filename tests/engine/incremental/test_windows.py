"""Which places of a layer's output a region can change."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from aopc.engine.incremental.windows import Slide, Spans


@given(
    length=st.integers(5, 60), size=st.integers(1, 9), kernel=st.integers(1, 7),
    stride=st.integers(1, 4), padding=st.integers(0, 3), dilation=st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_spans_hold_exactly_what_changes(
    length: int, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    """Against a convolution with ones: an output changes exactly where its inputs do."""
    slide = Slide(kernel, stride, padding, dilation)
    if length + 2 * padding < slide.extent or size > length:
        return
    outputs = (length + 2 * padding - slide.extent) // stride + 1
    before = Spans.of_regions(length, size)
    after = before.through(slide, outputs)
    for low, high, first, last in zip(before.low, before.high, after.low, after.high, strict=True):
        x = torch.zeros(1, 1, length)
        x[..., low:high] = 1
        y = functional.conv1d(x, torch.ones(1, 1, kernel), None, stride, padding, dilation)[0, 0]
        changed = y.nonzero()[:, 0].tolist()
        # With a dilation, outputs between those that read the change may not read it.
        if changed:
            assert first <= changed[0]
            assert changed[-1] < last
            if dilation == 1:
                assert (first, last) == (changed[0], changed[-1] + 1)
        assert 0 <= first <= last <= outputs
    starts = after.starts
    assert (starts <= after.low).all()
    assert (starts + after.size >= after.high).all()
    assert (starts + after.size <= outputs).all()
