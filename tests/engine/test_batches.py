"""Batches: results do not depend on them, and memory may run out."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.perturbation.value_range import ValueRange
from conftest import images, small_network

RANGE = ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))
orders = st.sampled_from(["morf", "lerf", "random"])


@settings(max_examples=15, deadline=None)
@given(batch_size=st.integers(1, 50), split=st.integers(1, 3), order=orders)
def test_curves_do_not_depend_on_batches_or_shards(batch_size: int, split: int, order: str) -> None:
    model, x = small_network().double(), images(4, 13, 13).double()
    ids = ["a", "b", "c", "d"]
    options = dict(region_size=3, steps=7, repeats=3, order=order, seed=5, value_range=RANGE)
    whole = aopc.perturbation_curves(model, x, x.sum(1), image_ids=ids, batch_size=7, **options)
    parts = [
        aopc.perturbation_curves(model, x[part], x[part].sum(1), image_ids=ids[part], batch_size=batch_size, **options)
        for part in (slice(split, 4), slice(0, split))
    ]
    logits = np.concatenate([parts[1].logits, parts[0].logits])
    np.testing.assert_allclose(logits, whole.logits, rtol=1e-6, atol=1e-7)
    probabilities = np.concatenate([parts[1].probabilities, parts[0].probabilities])
    np.testing.assert_allclose(probabilities, whole.probabilities, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("incremental", [True, False])
def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(
    incremental: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Narrow(nn.Linear):
        largest = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            Narrow.largest = max(Narrow.largest, len(x))
            return super().forward(x)

    torch.manual_seed(0)
    model, x = small_network(), images(7, 13, 13)
    options = dict(region_size=3, steps=4, repeats=3, incremental=incremental)
    expected = aopc.perturbation_curves(model, x, x.sum(1), [0] * 7, **options)
    narrow = Narrow(16, 3)
    narrow.load_state_dict(model[9].state_dict())
    model[9] = narrow
    told: list[float] = []
    with caplog.at_level(logging.WARNING, "aopc"):
        found = aopc.perturbation_curves(model, x, x.sum(1), [0] * 7, **options, batch_size=13, progress=told.append)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-6)
    assert Narrow.largest == 3
    assert sum(told) == 7
    assert "memory ran out" in caplog.text


def test_other_errors_are_not_taken_for_missing_memory() -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no such thing")

    with pytest.raises(aopc.InputError, match="no such thing"):
        aopc.perturbation_curves(Fails(), images(1, 8, 8), images(1, 8, 8).sum(1), [0], region_size=2, steps=2)
