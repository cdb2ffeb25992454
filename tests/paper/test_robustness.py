"""How the comparison depends on choices: values by choice, ranks, agreement, the spatial control."""

import numpy as np
import pytest

import aopc
from aopc.data.dataset import Dataset
from aopc.experiment.conditions import curves_under
from aopc.experiment.subject import Subject
from aopc.measures.localisation import relevance_mass
from aopc.measures.summary import Summary
from aopc.models.network import Network
from aopc.models.preprocessing import Preprocessing
from aopc.paper.robustness import ABPC, MASS, PAPER, Robustness, robustness_of, spatial_rows
from aopc.perturbation.protocol import CONDITIONS, Condition, Protocol
from conftest import small_network

PROTOCOL = Protocol(region_size=2, steps=6, repeats=2, random_orders=2)


def test_choices_and_the_spatial_control_add_up() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 13, 13, 3), dtype=np.uint8)
    network = Network(small_network(), Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0))
    images = Dataset(pixels, None, ("a", "b", "c"), ())
    subject = Subject("p", network, images, np.array([0, 1, 2]))
    x = subject.pixels(slice(0, 3))
    maps = {
        e: aopc.heatmaps(network.model, x, e, subject.targets)
        for e in ("sensitivity-l2", "deconvolution-l2", "lrp-alpha2-beta1")
    }
    main = curves_under(PROTOCOL, subject, slice(0, 3), [*maps, "random"], maps)
    panel = Summary("p", main, {"explainer": np.array([])}, seed=0)
    some = np.array([0, 2])
    sample, those = subject.take(some), {e: m[some] for e, m in maps.items()}
    conditions = {}
    for condition in (CONDITIONS["lerf"], Condition("spatial", {"places": 2})):
        found = curves_under(condition.of(PROTOCOL), sample, slice(0, 2), list(maps), those)
        conditions[condition.name] = {e: next(iter(c.values())) for e, c in found.items()}
    masks = np.zeros((3, 13, 13), dtype=bool)
    masks[:, 3:8, 3:8] = True
    truth = {MASS: {e: relevance_mass(m, masks) for e, m in maps.items()}}
    found = robustness_of(panel, conditions, truth)
    assert found.images == ("a", "c")
    own = panel.aopc_curves("lrp-alpha2-beta1")[some, -1]
    np.testing.assert_allclose(found.values[PAPER]["lrp-alpha2-beta1"], own)
    np.testing.assert_allclose(found.values[MASS]["sensitivity-l2"], truth[MASS]["sensitivity-l2"][some])
    lerf = conditions["lerf"]["lrp-alpha2-beta1"].logits.astype(np.float64).mean(1).mean(1)
    morf = main["lrp-alpha2-beta1"]["morf"].logits[some].astype(np.float64).mean(1).mean(1)
    np.testing.assert_allclose(found.values[ABPC]["lrp-alpha2-beta1"], lerf - morf, rtol=1e-5)
    for row in spatial_rows(panel, conditions["spatial"], found):
        assert row["heatmap"] == pytest.approx(row["clustering"] + row["place"])
    explainers = list(main)
    rows = found.means(explainers)
    ranks = [r["rank"] for r in rows if r["choice"] == PAPER]
    assert sorted(ranks) == [1, 2, 3, 4]
    agreement = found.agreement(explainers)
    assert [r["rho"] for r in agreement if r["choice"] == PAPER] == [1.0]


def test_explainers_of_equal_means_share_a_rank() -> None:
    values = {e: np.array(v) for e, v in {"a": [1.0, 3.0], "b": [2.0, 2.0], "c": [9.0, 9.0], "d": [np.nan] * 2}.items()}
    rows = Robustness("p", ("x", "y"), {PAPER: values}, seed=0).means(["a", "b", "c", "d"])
    assert {r["explainer"]: r["rank"] for r in rows} == {"c": 1, "a": 2, "b": 2, "d": 4}


def test_a_lead_within_float32s_rounding_is_none() -> None:
    """LRP under another name, computed in other batches."""
    lrp = np.linspace(5, 9, 30)
    values = {PAPER: {"lrp-alpha2-beta1": lrp, "sensitivity-l2": lrp - 1e-6}}
    verdict, lead = Robustness("p", tuple(map(str, range(30))), values, seed=0).lrp_is_best(PAPER)
    assert (verdict, lead.p_for) == ("undecided", 1.0)
