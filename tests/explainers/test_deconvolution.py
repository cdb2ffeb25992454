"""Deconvolution against the equations."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from aopc.explainers.backward.signals import Signals
from aopc.explainers.registry import EXPLAINERS, Backward
from aopc.explainers.run import _heatmap, _rules_of
from conftest import convolutional_network, images


@settings(max_examples=12, deadline=None)
@given(
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2, 3]),
    bias=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_deconvolution_equals_the_equations(stride: int, padding: int, groups: int, bias: bool, seed: int) -> None:
    model = convolutional_network(stride, padding, groups, bias, seed)
    x = images(1, 9, 9, seed).double()
    target = int(model(x).argmax())
    expected = reference.deconvolution(model, x[0].numpy(), target)
    for norm, name in ((2, "deconvolution-l2"), (np.inf, "deconvolution-linf")):
        explainer = EXPLAINERS[name]
        assert isinstance(explainer, Backward)
        signals = Signals(model, {"": _rules_of(explainer)})
        ours = _heatmap(explainer, signals(x, torch.tensor([target]))[""].values)[0].numpy()
        np.testing.assert_allclose(ours, np.linalg.norm(expected, norm, axis=0), atol=1e-10)
