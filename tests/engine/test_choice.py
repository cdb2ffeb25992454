"""Incremental or full: what pays, and what happens where a plan is wrong."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.base import notices
from aopc.engine import choice
from aopc.engine.choice import Runners
from aopc.engine.incremental.plan import Plan, plan_network
from aopc.engine.incremental.prepacked import PrepackedConvolution
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


def test_it_is_said_where_full_passes_cost_less(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_said", set())
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(512, 5000), nn.Linear(5000, 500)
    ).eval()
    x = images(1, 160, 160)
    with caplog.at_level(logging.WARNING, "aopc"):
        for _ in range(2):
            aopc.perturbation_curves(model, x, x.sum(1), [0], region_size=3, steps=4, repeats=1)
    (record,) = caplog.records
    assert "full forward passes are used for this network" in record.getMessage()
    assert "cost less" in record.getMessage()


@pytest.mark.usefixtures("always")
def test_a_wrong_plan_is_noticed(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of windows is compared with a full pass."""
    monkeypatch.setattr(Spans, "through", lambda self, slide, length: _half(self, length))
    _require_noticed(caplog)


def _half(spans: Spans, length: int) -> Spans:
    low = np.clip(spans.low // 2, 0, length - 1)
    return Spans(low, low + 1, length)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("variant", range(4))
def test_every_class_of_windows_is_tried(
    variant: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is spoilt, at one corner of its regions; the first image's order does not meet it."""

    def spoilt(model: nn.Module, *given: object, **more: object) -> Plan:
        plan = plan_network(model, *given, **more)
        row = np.flatnonzero((plan.variant_of_region.reshape(plan.grid.rows, -1) == variant).any(axis=1))[-1]
        for read in plan.variants[variant][0].reads.values():
            read.rows[row] += 1 if read.rows[row] < 0 else -1
        return plan

    monkeypatch.setattr(choice, "plan_network", spoilt)
    _require_noticed(caplog)


@pytest.mark.usefixtures("always")
def test_memory_that_a_layer_leaves_unwritten_is_noticed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where what lies there by chance would be right."""
    convolved = PrepackedConvolution.__call__

    def leaves(self: PrepackedConvolution, window: torch.Tensor) -> torch.Tensor:
        whole = convolved(self, window)
        made = torch.empty_like(whole)
        made[..., 1:] = whole[..., 1:]
        if not made.isnan().any():
            made[..., 0] = whole[..., 0]
        return made

    monkeypatch.setattr(PrepackedConvolution, "__call__", leaves)
    _require_noticed(caplog)


def _require_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """The curves are those of full passes, and it is said that windows were off."""
    model, x = small_network(), images(2, 13, 13)
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "off" in caplog.text
