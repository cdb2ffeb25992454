"""Curves under conditions: other orders and removals, random places, active dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.data.dataset import Dataset
from aopc.experiment.conditions import curves_under
from aopc.experiment.subject import Subject
from aopc.models.dropout import active_dropout, has_dropout
from aopc.models.network import Network
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.curves import Curves
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import CONDITIONS, Condition, Protocol
from aopc.perturbation.spatial_control import at_random_places
from conftest import small_network

IDS, TARGETS = ("a", "b", "c"), np.array([0, 1, 2])
PROTOCOL = Protocol(region_size=2, steps=6, repeats=2, random_orders=2)
LRP = "lrp-alpha2-beta1"


def subject_of(model: nn.Module) -> Subject:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 13, 13, 3), dtype=np.uint8)
    preprocessing = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0)
    images = Dataset(pixels, None, IDS, ())
    return Subject("pictures", Network(model, preprocessing), images, TARGETS)


def under(
    condition: Condition,
    explainer: str,
    subject: Subject,
    maps: np.ndarray | None,
    rows: slice = slice(0, 3),
) -> Curves:
    """The curves of one explainer by its only order."""
    known = {} if maps is None else {explainer: maps}
    protocol = condition.of(PROTOCOL)
    (curves,) = curves_under(protocol, subject, rows, [explainer], known)[explainer].values()
    return curves


def test_conditions_compute_what_they_say() -> None:
    model = small_network()
    subject = subject_of(model)
    x = subject.pixels(slice(0, 3))
    maps = aopc.heatmaps(model, x, LRP, TARGETS)
    common = {
        "targets": TARGETS,
        "region_size": 2,
        "steps": 6,
        "repeats": 2,
        "value_range": subject.network.preprocessing.value_range,
        "image_ids": IDS,
    }
    for condition, settings in (
        ("lerf", {"order": "lerf"}),
        ("mean", {"removal": "mean"}),
        ("morf", {}),
    ):
        expected = aopc.perturbation_curves(model, x, maps, **common, **settings)
        found = under(CONDITIONS[condition], LRP, subject, maps)
        np.testing.assert_array_equal(found.logits, expected.logits)
    random = under(CONDITIONS["mean"], "random", subject, None)
    expected = aopc.perturbation_curves(model, x, order="random", removal="mean", orders_per_image=2, **common)
    np.testing.assert_array_equal(random.logits, expected.logits)
    placed = under(Condition("spatial", {"places": 2}), LRP, subject, maps)
    assert placed.logits.shape == (3, 2 * 2, 7)  # repeats × places
    grid = Grid(13, 13, 2)
    for number in range(2):
        shown = at_random_places(maps, grid, IDS, number=number, seed=0)
        expected = aopc.perturbation_curves(model, x, shown, **common)
        np.testing.assert_array_equal(placed.logits[:, 2 * number : 2 * number + 2], expected.logits)
    broken = maps.copy()
    broken[1] = np.nan
    found = under(CONDITIONS["spatial"], LRP, subject, broken)
    assert np.isnan(found.logits[1]).all()
    assert np.isfinite(found.logits[[0, 2]]).all()


@pytest.mark.parametrize("condition", ["morf", "lerf", "mean", "spatial", "dropout"])
def test_curves_depend_neither_on_other_explainers_nor_on_the_part(condition: str) -> None:
    """One by one and image by image they are those of all together."""
    model = dropping() if condition == "dropout" else small_network()
    subject = subject_of(model)
    x = subject.pixels(slice(0, 3))
    explainers = ["sensitivity-l2", LRP, *([] if condition in ("lerf", "spatial") else ["random"])]
    maps = {e: aopc.heatmaps(model, x, e, TARGETS, image_ids=IDS) for e in explainers}
    chosen = CONDITIONS[condition]
    whole = curves_under(chosen.of(PROTOCOL), subject, slice(0, 3), explainers, maps)
    assert list(whole) == explainers
    for e in explainers:
        (together,) = whole[e].values()
        assert together.image_ids == IDS
        for i in range(3):
            rows = slice(i, i + 1)
            alone = under(chosen, e, subject, maps[e][rows], rows)
            np.testing.assert_allclose(alone.logits[0], together.logits[i], rtol=1e-4, atol=1e-5)


def dropping() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 13, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 3)).eval()


def test_under_dropout_the_heatmaps_are_of_the_thinned_network_too() -> None:
    """Those of the whole network are not looked at."""
    subject = subject_of(dropping())
    dropout = CONDITIONS["dropout"]
    x = subject.pixels(slice(0, 3))
    wrong = np.random.default_rng(0).standard_normal((3, 13, 13))
    found = under(dropout, LRP, subject, wrong)
    np.testing.assert_array_equal(found.logits, under(dropout, LRP, subject, None).logits)
    maps = aopc.heatmaps(dropping(), x, LRP, TARGETS, image_ids=IDS, dropout_seed=0)
    expected = aopc.perturbation_curves(
        dropping(),
        x,
        maps,
        TARGETS,
        protocol=replace(PROTOCOL, dropout=False),
        value_range=subject.network.preprocessing.value_range,
        image_ids=IDS,
        dropout_seed=0,
    )
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_dropout_is_one_thinned_network_an_image() -> None:
    """Curves under dropout are those of the network whose units are gone for good."""
    model = dropping()
    x = torch.randn(3, 3, 13, 13, generator=torch.Generator().manual_seed(1))
    maps = x.sum(1).numpy()
    found = aopc.perturbation_curves(
        model, x, maps, [0, 1, 2], region_size=2, steps=4, repeats=2, dropout_seed=7, image_ids=IDS
    )
    for i, name in enumerate(IDS):
        with active_dropout(model, [name], 7), torch.no_grad():
            hidden = model[2](model[1](x[i : i + 1].flatten(1)))
            kept = model[3](hidden)
            mask = torch.where(hidden > 0, kept / hidden.clamp(min=1e-9), 0.0)
        thin = dropping()
        thin[3] = nn.Identity()
        with torch.no_grad():
            thin[4].weight *= mask
        expected = aopc.perturbation_curves(
            thin,
            x[i : i + 1],
            maps[i : i + 1],
            [i],
            region_size=2,
            steps=1,
            repeats=1,
            image_ids=[name],
        )
        assert found.logits[i, 0, 0] == pytest.approx(expected.logits[0, 0, 0], rel=1e-4)
    again = aopc.perturbation_curves(
        model, x[1:2], maps[1:2], [1], region_size=2, steps=4, repeats=2, dropout_seed=7, image_ids=["b"],
        value_range=None, batch_size=3,
    )  # fmt: skip
    assert found.logits[1, 0, 0] == pytest.approx(again.logits[0, 0, 0], rel=1e-5)
    assert (found.logits != aopc.perturbation_curves(
        model, x, maps, [0, 1, 2], region_size=2, steps=4, repeats=2, image_ids=IDS
    ).logits).any()  # fmt: skip
    assert has_dropout(model)
    assert not has_dropout(small_network())
    assert not has_dropout(nn.Sequential(nn.Dropout(0.0)))


def test_seeds_and_numbers_of_orders_are_the_protocols() -> None:
    """None is fixed on the way: noise, ties, random orders and places all change with the seed."""
    model = small_network()
    subject = subject_of(model)
    x = subject.pixels(slice(0, 3))
    maps = np.round(aopc.heatmaps(model, x, LRP, TARGETS), 1)  # with ties
    protocol = Protocol(region_size=2, steps=6, repeats=2, random_orders=3, seed=5, orders=("morf", "lerf"))
    found = curves_under(protocol, subject, slice(0, 3), [LRP, "random"], {LRP: maps})
    assert {e: list(c) for e, c in found.items()} == {LRP: ["morf", "lerf"], "random": ["random"]}
    common = {
        "targets": TARGETS,
        "region_size": 2,
        "steps": 6,
        "repeats": 2,
        "seed": 5,
        "value_range": subject.network.preprocessing.value_range,
        "image_ids": IDS,
    }
    for order in ("morf", "lerf"):
        expected = aopc.perturbation_curves(model, x, maps, order=order, **common)
        np.testing.assert_array_equal(found[LRP][order].logits, expected.logits)
        np.testing.assert_array_equal(found[LRP][order].probabilities, expected.probabilities)
    expected = aopc.perturbation_curves(model, x, order="random", orders_per_image=3, **common)
    assert expected.logits.shape == (3, 4, 7)
    np.testing.assert_array_equal(found["random"]["random"].logits, expected.logits)
    other = curves_under(replace(protocol, seed=6), subject, slice(0, 3), [LRP, "random"], {LRP: maps})
    assert (other["random"]["random"].logits != expected.logits).any()


def test_random_places_are_the_seeds_and_judged_in_each_order() -> None:
    model = small_network()
    subject = subject_of(model)
    x = subject.pixels(slice(0, 3))
    maps = aopc.heatmaps(model, x, LRP, TARGETS)
    protocol = Protocol(region_size=2, steps=6, repeats=1, seed=5, orders=("morf", "lerf"), places=2)
    found = curves_under(protocol, subject, slice(0, 3), [LRP], {LRP: maps})[LRP]
    common = {
        "targets": TARGETS,
        "region_size": 2,
        "steps": 6,
        "repeats": 1,
        "seed": 5,
        "value_range": subject.network.preprocessing.value_range,
        "image_ids": IDS,
    }
    for order in ("morf", "lerf"):
        for number in range(2):
            shown = at_random_places(maps, Grid(13, 13, 2), IDS, number=number, seed=5)
            expected = aopc.perturbation_curves(model, x, shown, order=order, **common)
            np.testing.assert_array_equal(found[order].logits[:, number : number + 1], expected.logits)


def test_images_need_not_be_square() -> None:
    """Rows and columns are not exchanged: 12 × 20 in regions of 4."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 20, 3)).eval()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 12, 20, 3), dtype=np.uint8)
    preprocessing = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0)
    subject = Subject("pictures", Network(model, preprocessing), Dataset(pixels, None, IDS, ()), TARGETS)
    maps = np.random.default_rng(2).normal(size=(3, 12, 20)).astype(np.float32)
    protocol = Protocol(region_size=4, steps=15, repeats=1)
    found = curves_under(protocol, subject, slice(0, 3), [LRP], {LRP: maps})[LRP]["morf"]
    expected = aopc.perturbation_curves(
        model, subject.pixels(slice(0, 3)), maps, TARGETS, region_size=4, steps=15, repeats=1, image_ids=IDS,
        value_range=preprocessing.value_range,
    )  # fmt: skip
    np.testing.assert_array_equal(found.logits, expected.logits)
