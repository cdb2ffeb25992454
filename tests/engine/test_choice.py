"""Incremental or full: what pays, and what happens where a plan is wrong."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from aopc.engine.choice import Runners
from aopc.engine.incremental.windows import Spans
from aopc.engine.setup import Setup
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import Protocol
from both_ways import both
from conftest import images, small_network


def test_full_passes_are_used_where_a_step_costs_as_much() -> None:
    def plans(model: nn.Module, side: int, size: int, count: int) -> bool:
        with torch.inference_mode():
            chosen = Runners(
                model.eval(),
                images(1, side, side),
                Setup(Protocol(size, 4, 1), Grid(side, side, size)),
                count,
            )
        return chosen.plan is not None

    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))  # fmt: skip
    assert plans(wide, 40, 3, 100)
    assert not plans(wide, 12, 11, 100)
    heavy = nn.Sequential(wide[:3], nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(512, 5000), nn.Linear(5000, 500))  # fmt: skip
    assert plans(heavy, 160, 3, 1000)
    assert not plans(heavy, 160, 3, 1)


@pytest.mark.usefixtures("always")
def test_a_wrong_plan_is_noticed(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first results are compared with the model's own full pass."""
    monkeypatch.setattr(Spans, "through", lambda self, slide, length: _half(self, length))
    model, x = small_network(), images(2, 13, 13)
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "off" in caplog.text


def _half(spans: Spans, length: int) -> Spans:
    low = np.clip(spans.low // 2, 0, length - 1)
    return Spans(low, low + 1, length)
