"""The perturbation engine: what must hold for every model, image and order."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.perturbation.partition import Grid, heatmap_orders, random_orders
from aopc.perturbation.removal import REMOVALS, ValueRange
from aopc.base.random import Stream
from conftest import small_network

RANGE = ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))


class Recorder(nn.Module):
    """A linear classifier that keeps all that it saw."""

    def __init__(self, size: tuple[int, int], classes: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * size[0] * size[1], classes)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return self.layer(x.flatten(1))


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


shapes = st.tuples(st.integers(4, 12), st.integers(4, 12), st.integers(1, 4))
orders = st.sampled_from(["morf", "lerf", "random"])
removals = st.sampled_from(sorted(REMOVALS))


@settings(max_examples=40, deadline=None)
@given(shape=shapes, order=orders, removal=removals, seed=st.integers(0, 2**31))
def test_a_step_changes_one_region_and_all_steps_change_all(
    shape: tuple[int, int, int], order: str, removal: str, seed: int
) -> None:
    """x⁽ᵏ⁾ differs from x⁽ᵏ⁻¹⁾ in one region; at L = R the image is the replacement alone."""
    height, width, size = shape
    grid = Grid(height, width, size)
    model, x = Recorder((height, width)), images(1, height, width, seed)
    aopc.perturbation_curves(
        model,
        x,
        x.sum(1),
        targets=[0],
        region_size=size,
        steps=grid.count,
        repeats=1,
        order=order,
        removal=removal,
        seed=seed,
        value_range=RANGE,
        batch_size=3,
    )
    seen = torch.cat(model.seen)
    assert len(seen) == grid.count + 1
    torch.testing.assert_close(seen[0], x[0], rtol=0, atol=0)
    replacement = torch.from_numpy(
        REMOVALS[removal](x[0].numpy(), RANGE, Stream(seed, "noise", "0", 0))
    )
    torch.testing.assert_close(seen[-1], replacement, rtol=0, atol=0)
    changed_before: set[int] = set()
    for before, after in pairwise(seen):
        differs = (before != after).any(0).numpy()
        regions = set(grid.region_of_pixel[differs].tolist())
        assert len(regions) <= 1
        assert not regions & changed_before
        changed_before |= regions
        inside = grid.region_of_pixel == (regions.pop() if regions else -1)
        torch.testing.assert_close(after[:, inside], replacement[:, inside], rtol=0, atol=0)


@settings(max_examples=15, deadline=None)
@given(batch_size=st.integers(1, 50), split=st.integers(1, 3), order=orders)
def test_curves_do_not_depend_on_batches_or_shards(batch_size: int, split: int, order: str) -> None:
    model, x = small_network().double(), images(4, 13, 13).double()
    ids = ["a", "b", "c", "d"]
    options = dict(region_size=3, steps=7, repeats=3, order=order, seed=5, value_range=RANGE)
    whole = aopc.perturbation_curves(model, x, x.sum(1), image_ids=ids, batch_size=7, **options)
    parts = [
        aopc.perturbation_curves(
            model, x[part], x[part].sum(1), image_ids=ids[part], batch_size=batch_size, **options
        )
        for part in (slice(split, 4), slice(0, split))
    ]
    logits = np.concatenate([parts[1].logits, parts[0].logits])
    np.testing.assert_allclose(logits, whole.logits, rtol=1e-6, atol=1e-7)
    probabilities = np.concatenate([parts[1].probabilities, parts[0].probabilities])
    np.testing.assert_allclose(probabilities, whole.probabilities, rtol=1e-6, atol=1e-7)


def test_both_outputs_come_from_the_same_images(network: nn.Module) -> None:
    x = images(2, 13, 13)
    curves = aopc.perturbation_curves(network, x, x.sum(1), region_size=13, steps=1, repeats=2)
    with torch.no_grad():
        scores = network(x)
    targets = scores.argmax(1)
    np.testing.assert_array_equal(curves.targets, targets)
    np.testing.assert_allclose(curves.logits[:, 0, 0], scores.amax(1), atol=1e-6)
    np.testing.assert_allclose(curves.probabilities[:, 1, 0], scores.softmax(1).amax(1), atol=1e-6)


def test_linear_model_follows_its_closed_form() -> None:
    """E f(x⁽ᵏ⁾) = f(x) − Σ_removed w_p (x_p − mean of the range); checked to five standard errors."""
    model, x, repeats = Recorder((6, 6), classes=1), images(1, 6, 6), 400
    grid = Grid(6, 6, 2)
    curves = aopc.perturbation_curves(
        model, x, x.sum(1), region_size=2, steps=9, repeats=repeats, value_range=RANGE
    )
    order = heatmap_orders(grid, x.sum(1).numpy(), "morf", ["0"], 0)[0]
    low, high = (np.array(v)[:, None, None] for v in (RANGE.low, RANGE.high))
    weight = model.layer.weight.detach().numpy().reshape(3, 6, 6)
    loss = weight * (x[0].numpy() - (low + high) / 2)
    variance = weight**2 * (high - low) ** 2 / 12
    expected, spread = [float(curves.logits[0, 0, 0])], [1e-9]
    for region in order:
        inside = grid.region_of_pixel == region
        expected.append(expected[-1] - loss[:, inside].sum())
        spread.append(spread[-1] + variance[:, inside].sum())
    error = np.abs(curves.logits[0].mean(axis=0) - expected)
    assert (error <= 5 * np.sqrt(np.array(spread) / repeats) + 1e-5).all()


def test_linear_model_with_mean_removal_is_exact() -> None:
    model, x = Recorder((4, 4), classes=1), images(1, 4, 4)
    curves = aopc.perturbation_curves(
        model, x, x.sum(1), region_size=2, steps=4, repeats=1, removal="mean"
    )
    with torch.no_grad():
        grey = float(model(x.mean(dim=(2, 3), keepdim=True).expand_as(x)))
    assert curves.logits[0, 0, 4] == pytest.approx(grey, abs=1e-5)


def test_explainers_meet_the_same_noise() -> None:
    """Two heatmaps that agree on the first region agree on f(x⁽¹⁾), and all agree at the end."""
    model, x = small_network(), images(1, 13, 13)
    first, second = torch.rand(1, 13, 13), torch.rand(1, 13, 13)
    first[0, :4, :4] = second[0, :4, :4] = 9.0
    options = dict(region_size=4, steps=16, repeats=4, value_range=RANGE)
    a = aopc.perturbation_curves(model, x, first, **options).logits
    b = aopc.perturbation_curves(model, x, second, **options).logits
    np.testing.assert_allclose(a[:, :, [0, 1, 16]], b[:, :, [0, 1, 16]], atol=1e-6)
    assert np.abs(a[:, :, 5] - b[:, :, 5]).max() > 1e-4


def test_lerf_is_morf_backwards() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 12, 12))
    grid, ids = Grid(12, 12, 3), ["a", "b", "c"]
    morf = heatmap_orders(grid, maps, "morf", ids, 0)
    lerf = heatmap_orders(grid, maps, "lerf", ids, 0)
    np.testing.assert_array_equal(morf, lerf[:, ::-1])
    sums = maps[0].reshape(4, 3, 4, 3).sum(axis=(1, 3)).ravel()
    np.testing.assert_array_equal(morf[0], np.argsort(-sums))


@given(shape=shapes, seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_cut_off_regions_come_last_in_every_order(shape: tuple[int, int, int], seed: int) -> None:
    """So each of the first steps removes the same area for every method and for random order."""
    height, width, size = shape
    grid = Grid(height, width, size)
    maps = np.random.default_rng(seed).normal(size=(2, height, width))
    found = [heatmap_orders(grid, maps, o, ["a", "b"], seed) for o in ("morf", "lerf")]
    found += list(random_orders(grid, ["a", "b"], 3, seed))
    area = np.bincount(grid.region_of_pixel.ravel(), minlength=grid.count)
    for order in np.concatenate(found):
        assert sorted(order) == list(range(grid.count))
        assert (area[order[: grid.whole_count]] == size**2).all()
        assert (area[order[grid.whole_count :]] < size**2).all()


def test_ties_are_random_seeded_and_shared() -> None:
    grid, zeros = Grid(8, 8, 2), np.zeros((2, 8, 8))
    one = heatmap_orders(grid, zeros, "morf", ["a", "b"], 0)
    np.testing.assert_array_equal(one, heatmap_orders(grid, zeros + 3, "lerf", ["a", "b"], 0))
    assert (one[0] != one[1]).any()
    assert (one != heatmap_orders(grid, zeros, "morf", ["a", "b"], 1)).any()
    assert (one[0] != np.arange(16)).any()


def test_random_orders_are_uniform() -> None:
    """Each region comes first equally often: chi-squared with 15 degrees of freedom, p > 1e-6."""
    found = random_orders(Grid(8, 8, 2), ["a"], 3200, 0)[0, :, 0]
    counts = np.bincount(found, minlength=16)
    assert ((counts - 200) ** 2 / 200).sum() < 60


def test_random_baseline_averages_several_orders() -> None:
    model, x = Recorder((8, 8)), images(1, 8, 8)
    curves = aopc.perturbation_curves(
        model, x, order="random", region_size=2, steps=4, repeats=2, orders_per_image=6
    )
    assert curves.logits.shape == (1, 6, 5)
    assert len(np.unique(curves.logits[0, :, 2])) == 6
    assert curves.forwards == 1 + 6 * 4 == sum(len(s) for s in model.seen) - 1  # and the prediction


def test_dirichlet_colours_are_uniform_on_the_simplex() -> None:
    values = ValueRange((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    noise = REMOVALS["dirichlet"](np.zeros((3, 100, 100), np.float32), values, Stream(0, "x"))
    assert (noise >= 0).all()
    assert (noise.sum(axis=0) <= 1 + 1e-6).all()
    # Each component is Beta(1, 3): mean 1/4, variance 3/80.
    np.testing.assert_allclose(noise.mean(axis=(1, 2)), 0.25, atol=5 * np.sqrt(3 / 80 / 1e4))


def test_uniform_noise_spans_the_range_of_each_channel() -> None:
    noise = REMOVALS["uniform"](np.zeros((3, 80, 80), np.float32), RANGE, Stream(0, "x"))
    for channel, low, high in zip(noise, RANGE.low, RANGE.high, strict=True):
        assert low <= channel.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < channel.max() <= high
        error = (high - low) * np.sqrt(1 / 12 / 6400)
        assert channel.mean() == pytest.approx((low + high) / 2, abs=5 * error)


def test_equals_quantus_where_both_do_the_same() -> None:
    """Quantus 0.6: f(x) − f(x⁽ᵏ⁾) from k = 1 on, a fixed baseline, a grid that divides the image.

    Its noise is one scalar an image and step, so only a deterministic replacement can agree.
    """
    quantus = pytest.importorskip("quantus")
    model, x = small_network(), images(3, 13, 13)[:, :, :12, :12]
    model[6] = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    maps = torch.randn(3, 12, 12)
    targets = np.array([0, 2, 1])

    def black(image: np.ndarray, values: ValueRange, stream: Stream) -> np.ndarray:
        return np.zeros_like(image)

    for order in ("morf", "lerf"):
        metric = quantus.RegionPerturbation(
            patch_size=3,
            regions_evaluation=16,
            order=order,
            normalise=False,
            perturb_baseline=0.0,
            disable_warnings=True,
        )
        theirs = metric(
            model=model,
            x_batch=x.numpy(),
            y_batch=targets,
            a_batch=maps.numpy()[:, None],
            softmax=False,
            channel_first=True,
        )
        ours = aopc.perturbation_curves(
            model,
            x,
            maps,
            targets,
            region_size=3,
            steps=16,
            repeats=1,
            order=order,
            removal=black,
        ).logits[:, 0]
        np.testing.assert_allclose(ours[:, :1] - ours[:, 1:], np.array(theirs), atol=1e-5)


def test_nan_heatmaps_have_nan_curves(network: nn.Module) -> None:
    x = images(2, 13, 13)
    maps = x.sum(1)
    maps[0] = torch.nan
    curves = aopc.perturbation_curves(network, x, maps, region_size=3, steps=2, repeats=1)
    assert np.isnan(curves.logits[0]).all()
    assert np.isfinite(curves.logits[1]).all()
    assert aopc.aopc(curves) == pytest.approx(aopc.aopc(curves.logits[1:]))


def test_the_model_is_left_as_it_was() -> None:
    model, x = small_network().train(), images(1, 13, 13)
    model[1].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    aopc.perturbation_curves(model, x, x.sum(1), region_size=3, steps=2, repeats=1)
    assert model.training
    assert not model[1].training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("ends", [((0.0,), (0.0,)), ((0.0, 1.0), (1.0,)), ((0.0,), (np.inf,))])
def test_impossible_value_ranges_are_said(ends: tuple) -> None:
    with pytest.raises(aopc.InputError, match="one finite low and one higher high"):
        ValueRange(*ends)


def test_models_that_flatten_with_view_are_taken() -> None:
    class Flattens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(x).view(len(x), -1))

    model, x = Flattens(), images(2, 8, 8)
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=4, steps=3, repeats=2)
    with torch.no_grad():
        np.testing.assert_allclose(curves.logits[:, 0, 0], model(x).amax(1), atol=1e-5)


def test_random_orders_meet_each_noise_equally_often() -> None:
    model, x = Recorder((8, 8)), images(1, 8, 8)
    curves = aopc.perturbation_curves(
        model, x, order="random", region_size=2, steps=16, repeats=2, orders_per_image=3
    )
    ends = curves.logits[0, :, -1]  # all is noise at the end: one value for each noise
    assert ends.shape == (4,)
    assert len(np.unique(ends.round(4))) == 2


class Nan(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x.flatten(1)[:, :3].clone()
        scores[scores[:, 0] > 1e6] = torch.nan
        return scores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region_size": 14}, "larger than the image"),
        ({"region_size": 0}, "at least 1 pixel"),
        ({"steps": 26}, "between 1 and the number of regions, 25"),
        ({"steps": 0}, "between 1 and the number of regions"),
        ({"repeats": 0}, "at least 1"),
        ({"order": "mrof"}, "did you mean 'morf'"),
        ({"removal": "unifrom"}, "did you mean 'uniform'"),
        ({"heatmaps": torch.zeros(1, 13, 13)}, r"shape \(2, 13, 13\)"),
        ({"heatmaps": None}, "heatmaps are needed"),
        ({"targets": [0]}, "one class an image"),
        ({"targets": [0, 7]}, "class 7, but the model has 3 classes"),
        ({"image_ids": ["a", "a"]}, "2 different names"),
        ({"images": torch.zeros(2, 13, 13)}, r"shape \(N, C, H, W\)"),
        ({"images": torch.full((2, 3, 13, 13), torch.nan)}, "NaN"),
        ({"removal": lambda image, values, stream: image[0]}, "removal must return"),
    ],
)
def test_bad_input_is_said_in_one_line(network: nn.Module, change: dict, message: str) -> None:
    x = images(2, 13, 13)
    options = {
        "images": x,
        "heatmaps": x.sum(1),
        "region_size": 3,
        "steps": 3,
        "repeats": 1,
    } | change
    with pytest.raises(aopc.InputError, match=message) as caught:
        aopc.perturbation_curves(network, options.pop("images"), **options)
    assert "\n" not in str(caught.value)


def test_nan_in_the_models_output_names_the_image() -> None:
    x = images(2, 6, 6)
    order = heatmap_orders(Grid(6, 6, 3), x.sum(1).numpy(), "morf", ["dog", "cat"], 0)[0]
    step = order.tolist().index(0) + 1  # the model reads the first pixels
    with pytest.raises(aopc.InputError, match=f"image dog at step {step}"):
        aopc.perturbation_curves(
            Nan(),
            x,
            x.sum(1),
            targets=[1, 1],
            region_size=3,
            steps=4,
            repeats=1,
            removal=lambda image, values, stream: np.full_like(image, 1e7),
            image_ids=["dog", "cat"],
        )
