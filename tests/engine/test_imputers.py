"""Removals that see the mask: what they are given, and what becomes of what they make."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.base.random import Stream
from aopc.perturbation.order import heatmap_orders
from aopc.perturbation.partition import Grid, LabelMap
from aopc.perturbation.removal import FILLS, Fill
from conftest import Recorder, images, small_network

RANGE = aopc.ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))
HALVES = LabelMap(np.repeat([[0, 1, 1, 2]], 6, axis=0))


def copying(fill: Fill) -> aopc.Imputer:
    """Replaces what is removed by what the fill draws from the same stream."""

    def impute(image: np.ndarray, removed: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        return np.where(removed, fill(image, values, stream), image)

    return aopc.Imputer(impute)


def steps_of(imputer: aopc.Imputer, x: torch.Tensor, model: Recorder, **options: Any) -> np.ndarray:
    """The images that the model was asked about, from the whole one on, (steps + 1, C, H, W)."""
    options = dict(region_size=2, repeats=1, value_range=RANGE, batch_size=2) | options
    aopc.perturbation_curves(model, x, x.sum(1), [0], removal=imputer, **options)
    return torch.cat(model.seen)[-options["steps"] - 1 :].numpy()


@settings(max_examples=12, deadline=None)
@given(
    fill=st.sampled_from(sorted(FILLS)),
    order=st.sampled_from(["morf", "lerf", "random"]),
    seed=st.integers(0, 2**20),
)
def test_an_imputer_that_copies_a_fill_has_its_curves(fill: str, order: str, seed: int) -> None:
    """Computed incrementally or by full passes; all images, repeats and steps meet the same noise."""
    model, x = small_network(), images(3, 13, 13, seed)
    options = dict(targets=[0, 1, 2], region_size=3, steps=25, repeats=2, order=order, seed=seed)
    options |= dict(value_range=RANGE, image_ids=["a", "b", "c"])
    ours = aopc.perturbation_curves(model, x, x.sum(1), removal=copying(FILLS[fill]), batch_size=7, **options)
    for incremental in (True, False):
        theirs = aopc.perturbation_curves(model, x, x.sum(1), removal=fill, incremental=incremental, **options)
        np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_that_are_left_are_untouched(dtype: torch.dtype) -> None:
    """Whatever the imputer makes of them, in its result or in the image that it was given."""

    def impute(image: np.ndarray, removed: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        image[:] = 7.0
        return np.full_like(image, 9.0)

    model, x = Recorder((6, 4)).to(dtype), images(1, 6, 4).to(dtype)
    before = x.clone()
    grid = Grid(6, 4, 2)
    seen = steps_of(aopc.Imputer(impute), x, model, steps=6)
    assert torch.equal(x, before)
    np.testing.assert_array_equal(seen[0], x[0].numpy())
    for step, image in enumerate(seen):
        gone = (image == 9.0).all(axis=0)
        assert np.unique(grid.region_of_pixel[gone]).size == step
        np.testing.assert_array_equal(image[:, ~gone], x[0].numpy()[:, ~gone])


@pytest.mark.parametrize("partition", [None, HALVES])
def test_the_mask_grows_by_a_region_a_step(partition: LabelMap | None) -> None:
    """An imputer sees the image, all that is gone at its step, and the same stream at each."""
    told: list[tuple[np.ndarray, np.ndarray, float]] = []

    def impute(image: np.ndarray, removed: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        told.append((image.copy(), removed.copy(), float(stream.uniform((1,))[0])))
        assert values == RANGE
        return image

    x, steps = images(1, 6, 4), 3 if partition else 6
    steps_of(aopc.Imputer(impute), x, Recorder((6, 4)), steps=steps, partition=partition)
    regions = (partition or Grid(6, 4, 2)).region_of_pixel
    order = heatmap_orders(partition or Grid(6, 4, 2), x.sum(1).numpy(), "morf", ["0"], 0)[0]
    assert len(told) == steps
    for step, (image, removed, drawn) in enumerate(told, 1):
        np.testing.assert_array_equal(image, x[0].numpy())
        assert removed.dtype == bool
        np.testing.assert_array_equal(removed, np.isin(regions, order[:step]))
        assert drawn == told[0][2]
    for (_, before, _), (_, after, _) in pairwise(told):
        assert (before <= after).all()


def test_what_was_imputed_may_change_from_step_to_step() -> None:
    """Here to the share that is gone: no region keeps what it got first."""

    def impute(image: np.ndarray, removed: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        return np.full_like(image, 100 + removed.mean())

    seen = steps_of(aopc.Imputer(impute), images(1, 4, 4), Recorder((4, 4)), steps=4)
    for step, image in enumerate(seen[1:], 1):
        np.testing.assert_allclose(image[image > 50], 100 + step / 4)
        assert (image > 50).sum() == 3 * 4 * step


def test_noise_belongs_to_the_image_and_the_repeat() -> None:
    """Not to the batch, the order or the other images."""
    model, x = small_network().double(), images(4, 13, 13).double()
    options = dict(region_size=3, steps=7, repeats=3, removal=copying(FILLS["uniform"]))
    options |= dict(value_range=RANGE)
    ids = list("abcd")
    whole = aopc.perturbation_curves(model, x, x.sum(1), image_ids=ids, batch_size=9, **options)
    for number, name in enumerate(ids):
        one = slice(number, number + 1)
        alone = aopc.perturbation_curves(model, x[one], x[one].sum(1), image_ids=[name], batch_size=2, **options)
        np.testing.assert_allclose(alone.logits, whole.logits[one], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 13), (13, 13), (1, 13, 13), (3, 13, 12), (13, 13, 3)])
def test_another_shape_is_refused(network: nn.Module, shape: tuple[int, ...]) -> None:
    imputer = aopc.Imputer(lambda image, removed, values, stream: np.zeros(shape, np.float32))
    x = images(2, 13, 13)
    with pytest.raises(aopc.InputError, match=r"image of shape \(3, 13, 13\)") as caught:
        aopc.perturbation_curves(network, x, x.sum(1), region_size=3, steps=2, repeats=1, removal=imputer)
    assert f"returned {shape}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_of_an_imputer_names_the_image(network: nn.Module) -> None:
    imputer = aopc.Imputer(lambda image, removed, values, stream: np.full_like(image, np.nan))
    x = images(1, 13, 13)
    with pytest.raises(aopc.InputError, match="infinite for image dog at step 1"):
        aopc.perturbation_curves(
            network, x, x.sum(1), region_size=3, steps=2, repeats=1, removal=imputer,
            image_ids=["dog"],
        )  # fmt: skip


def test_a_fill_that_writes_into_the_image_leaves_the_users_alone(network: nn.Module) -> None:
    def fill(image: np.ndarray, values: aopc.ValueRange, stream: Stream) -> np.ndarray:
        image[:] = 0.0
        return image

    x = images(2, 13, 13)
    before = x.clone()
    curves = aopc.perturbation_curves(network, x, x.sum(1), region_size=3, steps=25, repeats=2, removal=fill)
    assert torch.equal(x, before)
    with torch.no_grad():
        black = network(torch.zeros(1, 3, 13, 13))[0].numpy()
    np.testing.assert_allclose(curves.logits[:, 0, -1], black[curves.targets], atol=1e-5)
