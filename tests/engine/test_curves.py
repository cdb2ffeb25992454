"""The perturbation engine: what must hold for every model, image and order."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.base.random import Stream
from aopc.models.zoo.small_caffenet import small_caffenet
from aopc.perturbation.order import Ranking, heatmap_orders
from aopc.perturbation.partition import Grid
from aopc.perturbation.removal import REMOVALS
from aopc.perturbation.value_range import ValueRange
from both_ways import both
from conftest import Recorder, images, small_network

RANGE = ValueRange((-1.0, -2.0, 0.0), (1.0, 3.0, 0.5))


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
    replacement = torch.from_numpy(REMOVALS[removal](x[0].numpy(), RANGE, Stream(seed, "noise", "0", 0)))
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
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=2, steps=9, repeats=repeats, value_range=RANGE)
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
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=2, steps=4, repeats=1, removal="mean")
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


def test_random_baseline_averages_several_orders() -> None:
    model, x = Recorder((8, 8)), images(1, 8, 8)
    curves = aopc.perturbation_curves(model, x, order="random", region_size=2, steps=4, repeats=2, orders_per_image=6)
    assert curves.logits.shape == (1, 6, 5)
    assert len(np.unique(curves.logits[0, :, 2])) == 6
    assert curves.forwards == 1 + 6 * 4 == sum(len(s) for s in model.seen) - 1  # and the prediction


def test_random_orders_meet_each_noise_equally_often() -> None:
    model, x = Recorder((8, 8)), images(1, 8, 8)
    curves = aopc.perturbation_curves(model, x, order="random", region_size=2, steps=16, repeats=2, orders_per_image=3)
    ends = curves.logits[0, :, -1]  # all is noise at the end: one value for each noise
    assert ends.shape == (4,)
    assert len(np.unique(ends.round(4))) == 2


@pytest.mark.usefixtures("always")
def test_steps_are_those_of_one_trajectory() -> None:
    """Step k of a longer run is step k of a shorter one."""
    model, x = small_network(), images(1, 13, 13)
    lengths = [3, 9, 25]
    curves = [
        aopc.perturbation_curves(model, x, x.sum(1), [0], region_size=3, steps=n, repeats=2).logits for n in lengths
    ]
    for short, long in pairwise(curves):
        np.testing.assert_allclose(short, long[:, :, : short.shape[2]], atol=1e-6)


@pytest.mark.usefixtures("always")
def test_curves_of_a_ranking_do_not_depend_on_the_others() -> None:
    """To the bit: a run that is taken up again computes what is missing only."""
    torch.manual_seed(0)
    model, x, ids = small_caffenet(classes=5, width=8).eval(), images(5, 64, 64), list("abcde")
    grid = Grid(64, 64, 4)
    rankings = {
        "heatmap": Ranking.of_heatmaps(grid, x.sum(1), "morf", ids, 0),
        "other": Ranking.of_heatmaps(grid, -x[:, 0], "morf", ids, 0),
        "random": Ranking.at_random(grid, ids, 4, 2, 0),
    }
    options = dict(image_ids=ids, region_size=4, steps=5, repeats=2)
    together = aopc.perturbation_curves(model, x, rankings, **options)
    for name, ranking in rankings.items():
        alone = aopc.perturbation_curves(model, x, {name: ranking}, **options)[name]
        np.testing.assert_array_equal(alone.logits, together[name].logits)
        np.testing.assert_array_equal(alone.probabilities, together[name].probabilities)


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


@pytest.mark.usefixtures("always")
def test_a_model_that_changes_its_input_leaves_the_users_images_alone() -> None:
    class Changes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x.sub_(0.5).div_(0.25)
            return self.head(self.conv(x).relu().mean((2, 3)))

    torch.manual_seed(0)
    model, x = Changes().eval(), images(2, 16, 16)
    before = x.clone()
    with torch.no_grad():
        first = model(x.clone())
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=3, steps=4, repeats=2)
    assert torch.equal(x, before)
    np.testing.assert_allclose(curves.logits[:, 0, 0], first.amax(1), atol=1e-5)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class Nan(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x.flatten(1)[:, :3].clone()
        scores[scores[:, 0] > 1e6] = torch.nan
        return scores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region_size": 14}, "larger than the image"),
        ({"region_size": 0}, "region_size must be at least 1"),
        ({"steps": 26}, "between 1 and the number of regions, 25"),
        ({"steps": 0}, r"must be at least 1|between 1 and the number of regions"),
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


@pytest.mark.usefixtures("always")
def test_outputs_of_another_shape_are_said_with_targets_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()
    with pytest.raises(aopc.InputError, match=r"must return class scores of shape \(batch, classes\)"):
        aopc.perturbation_curves(model, images(1, 20, 20), images(1, 20, 20).sum(1), [0], region_size=3, steps=2)


def test_a_protocol_stands_for_its_settings(network: nn.Module) -> None:
    x = images(2, 13, 13)
    protocol = aopc.Protocol(3, 5, 2, removal="mean", seed=4)
    plain = aopc.perturbation_curves(network, x, x.sum(1), region_size=3, steps=5, repeats=2, removal="mean", seed=4)
    whole = aopc.perturbation_curves(network, x, x.sum(1), protocol=protocol)
    np.testing.assert_array_equal(whole.logits, plain.logits)
    # Single settings stand above it.
    changed = aopc.perturbation_curves(network, x, x.sum(1), protocol=protocol, steps=3)
    np.testing.assert_allclose(changed.logits, plain.logits[:, :, :4], atol=1e-6)
    by_name = aopc.perturbation_curves(
        network,
        x,
        {
            "b": Ranking.of_heatmaps(Grid(13, 13, 3), x.sum(1), "morf", ["0", "1"], 4),
            "a": Ranking.at_random(Grid(13, 13, 3), ["0", "1"], 3, 2, 4),
        },
        protocol=protocol,
    )
    assert list(by_name) == ["b", "a"]
    np.testing.assert_array_equal(by_name["b"].logits, plain.logits)
    assert by_name["a"].logits.shape == (2, 4, 6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arithmetic": "tf32"}, "the setting 'arithmetic' is called 'dtype' now"),
        ({"reigon_size": 3}, "unknown setting 'reigon_size': did you mean 'region_size'"),
        ({"random_orders": 3}, "unknown setting 'random_orders'"),
        ({"places": 3}, "unknown setting 'places'"),
        ({"partition": Grid(12, 13, 3)}, "of images of 12 × 13 pixels; these have 13 × 13"),
        ({"partition": aopc.LabelMap(np.eye(4, dtype=int))}, "of images of 4 × 4 pixels"),
        ({"rankings": (1, Grid(13, 13, 3))}, "must order 25 regions of 2 images"),
        ({"rankings": (2, Grid(13, 13, 4))}, "must order 25 regions of 2 images"),
    ],
)
@pytest.mark.parametrize("order", ["morf", "random"])
def test_settings_that_are_not_the_engines_are_said(network: nn.Module, change: dict, said: str, order: str) -> None:
    x = images(2, 13, 13)
    options = {"region_size": 3, "steps": 1, "repeats": 1, "order": order} | change
    heatmaps: object = x.sum(1)
    if "rankings" in options:
        count, grid = options.pop("rankings")
        del options["order"]
        heatmaps = {"a": Ranking.at_random(grid, ["0", "1"][:count], 1, 1, 0)}
    with pytest.raises(aopc.InputError, match=said) as caught:
        aopc.perturbation_curves(network, x, heatmaps, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"order": "morf"}, {"order": "random"}, {"orders_per_image": 3}])
def test_rankings_have_their_own_orders(network: nn.Module, change: dict) -> None:
    rankings = {"a": Ranking.at_random(Grid(13, 13, 3), ["0", "1"], 1, 1, 0)}
    with pytest.raises(aopc.InputError, match="leave out order and orders_per_image"):
        aopc.perturbation_curves(network, images(2, 13, 13), rankings, region_size=3, steps=1, repeats=1, **change)
