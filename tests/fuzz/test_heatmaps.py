"""Heatmaps of networks at random against the equations, or a refusal.

``AOPC_FUZZ_CASES`` sets how many; see ``make fuzz``.
"""

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aopc
from aopc.explainers.run import heatmaps_of
from fuzz.heatmap_networks import Described, kinds, networks
from fuzz.heatmap_reference import AlphaBeta, Deconvolution, Epsilon, Gradient, Method, Reference, Step

METHODS: dict[str, Method] = {
    "sensitivity-l2": Gradient(),
    "deconvolution-l2": Deconvolution(),
    "lrp-epsilon-0.01": Epsilon(0.01),
    "lrp-epsilon-100": Epsilon(100.0),
    "lrp-alpha2-beta1": AlphaBeta(),
}


def refused(steps: list[Step], name: str) -> bool:
    """Whether the explainer has no rule for a step."""
    found = kinds(steps)
    if name.startswith("sensitivity"):
        return False
    if name.startswith("deconvolution"):
        return bool(found & {"strange", "activation"})
    return bool(found & {"strange", "lone batch norm"})


@settings(
    max_examples=int(os.environ.get("AOPC_FUZZ_CASES", "100")), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(steps=networks(), seed=st.integers(0, 1000))
def test_heatmaps_are_those_of_the_equations_or_refused(steps: list[Step], seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, targets = generator.normal(size=(2, 3, 6, 6)), generator.integers(0, 3, 2)
    model, reference = Described(steps), Reference(steps)
    images = torch.from_numpy(x)
    plain = "strange" not in kinds(steps)
    if plain:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            np.testing.assert_allclose(model(images.clone()), [reference.forward(i) for i in x], rtol=1e-9, atol=1e-9)
    covered = [name for name in METHODS if not refused(steps, name)]
    for name in METHODS.keys() - set(covered):
        # A hook on the image itself does not let the network run where nothing asks for its gradient.
        with pytest.raises(aopc.InputError, match=r"no rule for the step|cannot follow|cannot register a hook"):
            aopc.heatmaps(model, images, name, targets)
    if not plain:
        return
    try:
        found = heatmaps_of(model, images, covered, targets)
    except aopc.InputError as error:
        # In place of a view, or of a value that the gradient of an earlier step needs: the graph shows, or torch says,
        # that the signal cannot go back.
        if "in place" in str(error) and "in place" in str(steps):
            return
        raise
    for name in covered:
        signals = [reference.signal(i, int(t), METHODS[name]) for i, t in zip(x, targets, strict=True)]
        expected = np.array([s.sum(0) if "lrp" in name else np.linalg.norm(s, axis=0) for s in signals])
        np.testing.assert_allclose(
            found[name], expected, rtol=0, atol=2e-6 * np.abs(expected).max() + 1e-30, err_msg=name
        )
