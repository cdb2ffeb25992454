"""How a network is computed when one region changes."""

import pytest
import torch

from aopc.engine.incremental.plan import plan_network
from aopc.models.caffe.networks import caffenet
from aopc.perturbation.partition import Grid


def test_caffenets_step_costs_what_was_calculated() -> None:
    """The design's figure counts windows at their mean size, 0.20; ours have one size a class."""
    torch.manual_seed(0)
    model = caffenet().eval()
    with torch.inference_mode():
        plans = [plan_network(model, torch.zeros(1, 3, 227, 227), Grid(227, 227, 9), count) for count in (1, 100)]
    assert plans[0].work.macs == pytest.approx(0.72e9, rel=0.05)
    assert 0.20 < plans[1].ratio < 0.27 < plans[0].ratio < 0.33
    assert [len(p.variants) for p in plans] == [1, 4]
