"""Controls beyond the paper: heatmaps at random places, dropout, baselines, ground truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.experiment.conditions import Controls, control_curves
from aopc.paper.robustness import ABPC, MASS, PAPER, choices_of, spatial_rows
from aopc.measures.localisation import pointing_game, relevance_mass
from aopc.measures.specificity import similarity_to_others
from aopc.measures.summary import Panel
from aopc.models.dropout import active_dropout, has_dropout
from aopc.models.zoo.normalisation import ChannelNorm
from aopc.models.zoo.small_caffenet import small_caffenet
from aopc.perturbation.partition import Grid
from aopc.perturbation.removal import ValueRange
from aopc.perturbation.spatial_control import spatial_surrogates
from aopc.perturbation.protocol import Protocol, curves_of
from conftest import small_network

RANGE = ValueRange((-1.0,) * 3, (1.0,) * 3)
IDS = ["a", "b", "c"]


def protocol(**changes: object) -> Protocol:
    given = {"region_size": 2, "steps": 6, "repeats": 2, "random_orders": 2, "removal": "uniform"}
    return Protocol(**{**given, "seed": 0, **changes})  # type: ignore[arg-type]


def controls(**changes: object) -> Controls:
    given = {
        "images": 3,
        "repeats": 2,
        "random_orders": 2,
        "removals": ("mean",),
        "lerf": True,
        "dropout": True,
        "surrogates": 2,
        "explainers": ("centre-first",),
    }
    return Controls(**{**given, **changes})  # type: ignore[arg-type]


def pictures(count: int = 3, side: int = 13) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 6),
    columns=st.integers(2, 6),
    size=st.integers(1, 3),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 1000),
)
def test_a_surrogate_is_the_heatmap_at_another_place(
    rows: int, columns: int, size: int, more: tuple[int, int], seed: int
) -> None:
    """The same values, each with the same neighbours on the torus; cut-off regions stay."""
    grid = Grid(rows * size + more[0] % size, columns * size + more[1] % size, size)
    maps = np.random.default_rng(seed).standard_normal((2, grid.height, grid.width))
    moved = spatial_surrogates(maps, grid, ["x", "y"], number=0, seed=seed)
    before, after = grid.scores(maps), grid.scores(moved) / size**2
    whole = ~grid.is_cut_off
    for i in range(2):
        np.testing.assert_allclose(np.sort(before[i, whole]), np.sort(after[i, whole]), rtol=1e-5)
        assert _neighbours(before[i], grid, rows, columns) == pytest.approx(
            _neighbours(after[i], grid, rows, columns), rel=1e-4, abs=1e-4
        )
    kept = grid.is_cut_off[grid.region_of_pixel]
    expected = before[:, grid.region_of_pixel.ravel()].reshape(maps.shape)
    np.testing.assert_allclose(moved[:, kept], expected[:, kept], rtol=1e-5, atol=1e-6)


def _neighbours(scores: np.ndarray, grid: Grid, rows: int, columns: int) -> float:
    """Σ of products of neighbours on the torus: the same for maps that differ by place only."""
    whole = scores.reshape(grid.rows, grid.columns)[:rows, :columns]
    pairs = whole * np.roll(whole, 1, axis=0) + whole * np.roll(whole, 1, axis=1)
    return (
        float(pairs.sum()) if rows == columns else float((whole * np.roll(whole, 1, axis=0)).sum())
    )


def test_surrogates_depend_on_image_and_number_only() -> None:
    grid = Grid(12, 12, 2)
    maps = np.random.default_rng(0).standard_normal((3, 12, 12))
    whole = spatial_surrogates(maps, grid, IDS, number=0, seed=0)
    alone = spatial_surrogates(maps[1:2], grid, ["b"], number=0, seed=0)
    np.testing.assert_array_equal(whole[1], alone[0])
    assert (whole != spatial_surrogates(maps, grid, IDS, number=1, seed=0)).any()
    same = spatial_surrogates(np.stack([maps[0]] * 3), grid, IDS, number=0, seed=0)
    assert (same[0] != same[1]).any()  # each image has its own place
    # All 144 places and turns of a 6 × 6 grid are about equally frequent.
    marked = np.zeros((4000, 12, 12))
    marked[:, :2, :2] = 1
    many = spatial_surrogates(marked, grid, [str(i) for i in range(4000)], number=0, seed=0)
    counts = (grid.scores(many) > 0).sum(axis=0)
    assert counts.sum() == 4000
    assert counts.min() > 111 - 5 * 10.5
    assert counts.max() < 111 + 5 * 10.5


def test_conditions_follow_the_settings() -> None:
    found = controls().conditions(["lrp-epsilon-100", "random"], protocol())
    assert found == {
        "morf": ["centre-first"],
        "lerf": ["lrp-epsilon-100", "centre-first"],
        "mean": ["lrp-epsilon-100", "random"],
        "dropout": ["lrp-epsilon-100", "random"],
        "spatial": ["lrp-epsilon-100"],
    }
    least = controls(removals=("uniform",), lerf=False, dropout=False, surrogates=0, explainers=())
    assert least.conditions(["random"], protocol()) == {}
    with pytest.raises(aopc.InputError, match="did you mean 'mean'"):
        controls(removals=("meen",))
    with pytest.raises(aopc.InputError, match="1 or more"):
        controls(images=0)


def run(condition: str, explainer: str, model: nn.Module, maps: np.ndarray | None, **more: object):
    return control_curves(
        condition,
        explainer,
        model,
        pictures(),
        maps,
        np.array([0, 1, 2]),
        IDS,
        protocol(),
        controls(**more),
        RANGE,
    )


def test_conditions_compute_what_they_say() -> None:
    model = small_network()
    maps = aopc.heatmaps(model, pictures(), "lrp-alpha2-beta1", np.array([0, 1, 2]))
    common = {
        "targets": np.array([0, 1, 2]),
        "region_size": 2,
        "steps": 6,
        "repeats": 2,
        "value_range": RANGE,
        "image_ids": IDS,
    }
    for condition, settings_ in (
        ("lerf", {"order": "lerf"}),
        ("mean", {"removal": "mean"}),
        ("morf", {}),
    ):
        expected = aopc.perturbation_curves(model, pictures(), maps, **common, **settings_)
        found = run(condition, "lrp-alpha2-beta1", model, maps)
        np.testing.assert_array_equal(found.logits, expected.logits)
    random = run("mean", "random", model, None)
    expected = aopc.perturbation_curves(
        model, pictures(), order="random", removal="mean", orders_per_image=2, **common
    )
    np.testing.assert_array_equal(random.logits, expected.logits)
    placed = run("spatial", "lrp-alpha2-beta1", model, maps)
    assert placed.logits.shape == (3, 2 * 2, 7)  # repeats × places
    broken = maps.copy()
    broken[1] = np.nan
    assert np.isnan(run("spatial", "x", model, broken).logits[1]).all()
    assert np.isfinite(run("spatial", "x", model, broken).logits[[0, 2]]).all()


def dropping() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 13 * 13, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 3)
    ).eval()


def test_dropout_is_one_thinned_network_an_image() -> None:
    """Curves under dropout are those of the network whose units are gone for good."""
    model, x = dropping(), pictures()
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


def test_choices_and_the_spatial_control_add_up() -> None:
    model = small_network()
    x, targets = pictures(), np.array([0, 1, 2])
    maps = {
        e: aopc.heatmaps(model, x, e, targets)
        for e in ("sensitivity-l2", "deconvolution-l2", "lrp-alpha2-beta1")
    }
    main = curves_of({**maps, "random": None}, model, x, targets, IDS, protocol(), RANGE)
    complexity = {"explainer": np.array([])}
    panel = Panel("p", main, complexity, seed=0)
    some = [0, 2]
    conditions = {
        c: {
            e: control_curves(
                c,
                e,
                model,
                x[some],
                m[some],
                targets[some],
                ["a", "c"],
                protocol(),
                controls(),
                RANGE,
            )
            for e, m in maps.items()
        }
        for c in ("lerf", "spatial")
    }
    masks = np.zeros((3, 13, 13), dtype=bool)
    masks[:, 3:8, 3:8] = True
    truth = {MASS: {e: relevance_mass(m, masks) for e, m in maps.items()}}
    found = choices_of(panel, conditions, truth)
    assert found.images == ("a", "c")
    own = panel.aopc_curves("lrp-alpha2-beta1")[some, -1]
    np.testing.assert_allclose(found.values[PAPER]["lrp-alpha2-beta1"], own)
    np.testing.assert_allclose(
        found.values[MASS]["sensitivity-l2"], truth[MASS]["sensitivity-l2"][some]
    )
    lerf = conditions["lerf"]["lrp-alpha2-beta1"].logits.mean(1).mean(1)
    morf = main["lrp-alpha2-beta1"]["morf"].logits[some].mean(1).mean(1)
    np.testing.assert_allclose(found.values[ABPC]["lrp-alpha2-beta1"], lerf - morf, rtol=1e-5)
    for row in spatial_rows(panel, conditions["spatial"], found):
        assert row["heatmap"] == pytest.approx(row["clustering"] + row["place"])
    explainers = list(main)
    rows = found.means(explainers)
    ranks = [r["rank"] for r in rows if r["choice"] == PAPER]
    assert sorted(ranks) == [1, 2, 3, 4]
    agreement = found.agreement(explainers)
    assert [r["rho"] for r in agreement if r["choice"] == PAPER] == [1.0]


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 9),
    size=st.integers(1, 7),
    beta=st.sampled_from([0.5, 0.75, 1.0]),
    seed=st.integers(0, 1000),
)
def test_channel_norm_is_torchs(channels: int, size: int, beta: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, channels, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    ours, theirs = ChannelNorm(size, 0.7, beta, 1.3), nn.LocalResponseNorm(size, 0.7, beta, 1.3)
    torch.testing.assert_close(ours(x), theirs(x))
    gradients = [torch.autograd.grad(layer(x).square().sum(), x)[0] for layer in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_heatmaps_through_channel_norm_are_those_through_torchs() -> None:
    torch.manual_seed(0)
    ours = small_caffenet(classes=4, width=4).eval()
    theirs = nn.Sequential(
        *[
            nn.LocalResponseNorm(m.size, m.alpha, m.beta, m.k) if isinstance(m, ChannelNorm) else m
            for m in ours
        ]
    ).eval()
    x = pictures(2, 64)
    for name in ("sensitivity-l2", "deconvolution-l2", "lrp-alpha2-beta1", "lrp-epsilon-0.01"):
        a, b = (aopc.heatmaps(m, x, name, [0, 1]) for m in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())


def test_baselines_do_not_know_the_network() -> None:
    x = pictures(2, 12)
    first, second = small_network(seed=0), small_network(seed=1)
    for name in ("centre-first", "image-edges"):
        a, b = (aopc.heatmaps(m, pictures(2), name, [0, 1]) for m in (first, second))
        np.testing.assert_array_equal(a, b)
    centre = aopc.heatmaps(
        nn.Sequential(nn.Flatten(), nn.Linear(432, 2)), x, "centre-first", [0, 1]
    )
    np.testing.assert_array_equal(centre[0], centre[1])
    np.testing.assert_allclose(centre[0], centre[0][::-1, ::-1], atol=1e-6)
    assert centre[0].min() == pytest.approx(0, abs=1e-6)
    assert centre[0].argmin() == 0
    step = torch.zeros(1, 3, 12, 12)
    step[..., 6:] = 1
    edges = aopc.heatmaps(nn.Sequential(nn.Flatten(), nn.Linear(432, 2)), step, "image-edges", [0])[
        0
    ]
    assert set(np.flatnonzero(edges.sum(0))) == {5, 6}
    np.testing.assert_allclose(edges[:, 5], 1.0)


def test_relevance_mass_and_pointing_game_by_hand() -> None:
    maps = np.array(
        [[[3.0, 1.0], [-9.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]], [[1.0, 5.0], [1.0, 1.0]]]
    )
    masks = np.array([[[True, False], [True, False]]] * 3)
    np.testing.assert_allclose(relevance_mass(maps, masks), [0.75, np.nan, 0.25])
    np.testing.assert_array_equal(pointing_game(maps, masks), [1.0, np.nan, 0.0])
    assert np.isnan(relevance_mass(maps, np.zeros_like(masks))).all()
    broken = maps.copy()
    broken[0, 0, 0] = np.nan
    assert np.isnan(relevance_mass(broken, masks)[0])
    assert np.isnan(pointing_game(broken, masks)[0])


def test_relevance_mass_of_nothing_known_is_the_objects_share() -> None:
    maps = np.random.default_rng(0).random((200, 16, 16))
    masks = np.zeros((200, 16, 16), dtype=bool)
    masks[:, :4] = True
    assert relevance_mass(maps, masks).mean() == pytest.approx(0.25, abs=0.01)
    assert pointing_game(maps, masks).mean() == pytest.approx(0.25, abs=0.1)


def test_similarity_is_the_mean_correlation_with_the_others() -> None:
    generator = np.random.default_rng(0)
    maps, classes = generator.standard_normal((7, 4, 4)), np.array([0, 0, 0, 1, 1, 2, 0])
    maps[6] = 1.0  # no picture at all
    found = similarity_to_others(maps, classes)
    r = np.corrcoef(maps[:6].reshape(6, -1))
    np.testing.assert_allclose(found[:3], [(r[i, :3].sum() - 1) / 2 for i in range(3)])
    np.testing.assert_allclose(found[3:5], r[3, 4])
    assert np.isnan(found[5:]).all()
    np.testing.assert_allclose(similarity_to_others(5 * maps + 2, classes)[:5], found[:5])
