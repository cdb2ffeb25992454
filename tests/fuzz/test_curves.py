"""Curves of networks at random, computed incrementally, against full passes of one image each, or a refusal.

``AOPC_FUZZ_CASES`` sets how many; see ``make fuzz``.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

import aopc
from aopc.engine import choice
from aopc.engine.incremental import plan
from aopc.perturbation.partition import Grid
from fuzz.curve_networks import READING, REFUSED, Described, networks

CASES = int(os.environ.get("AOPC_FUZZ_CASES", "100"))


def _cases(share: float) -> settings:
    return settings(
        max_examples=max(1, round(share * CASES)),
        deadline=None,
        derandomize=CASES == 100,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True, scope="module")
def incremental_wherever_possible() -> Iterator[None]:
    """Whether it pays is a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 1e9)
        patch.setattr(plan, "WORTH_A_TURN", 0)
        yield


def _heatmaps(images: torch.Tensor) -> torch.Tensor:
    """The first image from its centre, the others from their border: no image stands for the others."""
    rows, columns = ((torch.arange(n) - (n - 1) / 2).abs() for n in images.shape[2:])
    distance = torch.maximum(rows[:, None], columns[None])
    return torch.stack([-distance, distance, distance])


def _curves(case: Described, **options: object) -> np.ndarray:
    steps = min(12, Grid(*case.images.shape[2:], case.region).count)
    common = dict(region_size=case.region, steps=steps, repeats=2, value_range=(0.0, 9.0)) | options
    curves = aopc.perturbation_curves(case.model, case.images, _heatmaps(case.images), [0, 1, 2], **common)
    return curves.logits.astype(np.float64)


def _require_equal(case: Described) -> None:
    found = _curves(case)
    expected = _curves(case, incremental=False, batch_size=1)
    tolerance = 2e-7 if case.images.dtype == torch.float64 else 2e-5  # curves are float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max() + 1e-12)


@_cases(0.7)
@given(case=networks())
def test_curves_are_those_of_full_passes(case: Described) -> None:
    try:
        _require_equal(case)
    except aopc.InputError as error:
        # One that asks how its input lies in memory: that can be other in a batch, and is refused then.
        if "memory" not in case.steps or "change in a batch of" not in str(error):
            raise


@_cases(0.15)
@given(case=networks(READING))
def test_networks_that_look_at_values_get_images_one_at_a_time(case: Described) -> None:
    _require_equal(case)


@_cases(0.15)
@given(case=networks(REFUSED))
def test_scores_that_depend_on_the_batch_are_refused(case: Described) -> None:
    assume(set(case.steps) & set(REFUSED))
    # Whatever else it is made of, its curves are the same for every batch, or there are none.
    try:
        found = _curves(case)
    except aopc.InputError as error:
        if not str(error).startswith("the scores of an image "):
            raise
        return
    np.testing.assert_allclose(
        found, _curves(case, incremental=False, batch_size=1), rtol=1e-4, atol=1e-4 * np.abs(found).max()
    )
