"""What each claim is read from, and what has to be left out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import made_up
from aopc.measures.statistics.correlation import permutation_p, rank_correlation
from aopc.paper.claims.evidence import Evidence, Training, with_interval
from aopc.paper.claims.judge import judge
from aopc.paper.claims.rules import CLAIMS
from made_up import AS_THE_PAPER_SAYS, IMAGES, evidence, panel


def test_missing_explainers_and_few_checkpoints_are_said() -> None:
    speeds = {e: s for e, s in AS_THE_PAPER_SAYS.items() if not e.startswith("deconvolution")}
    few = evidence()
    training = few.trainings["objects"]
    short = Training("a network", training.heatmap[:, :3], training.random[:, :3], training.correct[:, :3])
    found = judge(replace(few, panels={"ilsvrc2012": panel("objects", speeds)}, trainings={"x": short}))
    assert "no heatmaps of deconvolution-l2" in found["C3"]["reading"]
    assert "no heatmaps of deconvolution-l2" in found["C7"]["reading"]
    assert "3 checkpoints are too few" in found["C9"]["reading"]


def test_zero_and_broken_heatmaps_are_left_out() -> None:
    true = evidence()
    for p in true.panels.values():
        rows = (p.complexity["explainer"] == "lrp-alpha2-beta1").nonzero()[0]
        p.complexity["zero"][rows[:20]] = True
        p.complexity["entropy"][rows[20:25]] = np.nan
        p.curves["lrp-alpha2-beta1"]["morf"].logits[:7] = np.nan
    found = judge(true)
    assert {r["n"] for r in found["C8"]["readings"]} == {IMAGES - 25}
    assert {r["n"] for r in found["C1"]["readings"]} == {IMAGES - 7}
    assert found["C8"]["verdict"] == found["C1"]["verdict"] == "replicated"


def test_a_part_that_cannot_be_read_is_left_out_by_name() -> None:
    true = evidence()
    table = true.panels["sun397"].complexity
    table["zero"][table["explainer"] == "deconvolution-l2"] = True
    found = judge(true)["C8"]
    assert found["verdict"] == "replicated"
    assert len(found["readings"]) == 4
    assert "left out: on every image of Scenes" in found["reading"]


def test_a_method_without_any_curve_is_not_compared() -> None:
    broken = evidence()
    objects = broken.panels["ilsvrc2012"]
    objects.curves["sensitivity-l2"]["morf"].logits[:] = np.nan
    assert judge(broken)["C5"]["verdict"] == "undecided"


#: Which explainers a claim compares: the first is said to be ahead of the second.
LRP, DECONVOLUTION, SENSITIVITY, RANDOM = "lrp-alpha2-beta1", "deconvolution-l2", "sensitivity-l2", "random"
ON_EACH = {
    "C1": [(LRP, other) for other in (SENSITIVITY, "sensitivity-linf", DECONVOLUTION, "deconvolution-linf", RANDOM)],
    "C2": [("lrp-epsilon-0.01", LRP), ("lrp-epsilon-100", LRP)],
    "C3": [
        (DECONVOLUTION, SENSITIVITY),
        (DECONVOLUTION, RANDOM),
        ("deconvolution-linf", "sensitivity-linf"),
        ("deconvolution-linf", RANDOM),
    ],
}
TITLES = {"sun397": "Scenes", "ilsvrc2012": "Objects", "places205": "Places"}


def readings_of(found: Evidence, claim: str) -> list[dict[str, Any]]:
    return judge(found)[claim]["readings"]


def aopc_of(found: Evidence, data_set: str, explainer: str) -> np.ndarray:
    """(N, L + 1), from the curves by the paper's equation."""
    (curves,) = found.panels[data_set].curves[explainer].values()
    logits = curves.logits[:, 0].astype(np.float64)
    drops = logits[:, :1] - logits
    return np.stack([drops[:, : step + 1].mean(axis=1) for step in range(drops.shape[1])], axis=1)


@pytest.mark.parametrize("claim", ON_EACH)
def test_whom_each_claim_compares(claim: str) -> None:
    """On each panel in the paper's order, at the last step, the first less the second, above zero."""
    true = evidence()
    found = readings_of(true, claim)
    expected = [(data_set, *pair) for data_set in TITLES for pair in ON_EACH[claim]]
    assert len(found) == len(expected)
    for reading, (data_set, first, second) in zip(found, expected, strict=True):
        assert reading["what"] == f"{first} minus {second}, {TITLES[data_set]}"
        values = aopc_of(true, data_set, first)[:, -1] - aopc_of(true, data_set, second)[:, -1]
        assert reading["estimate"] == pytest.approx(values.mean())
        assert (reading["bound"], reading["side"], reading["n"]) == (0.0, "above", IMAGES)


@pytest.mark.parametrize(("steps", "early"), [(10, 1), (25, 3), (4, 1), (100, 10)])
def test_where_sensitivity_is_against_random_order(steps: int, early: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """C4: on SUN397 below at the last step; on MIT Places above at a tenth of the steps, rounded up, and below at the
    last; on ILSVRC2012 it is not asked.
    """
    monkeypatch.setattr(made_up, "STEPS", steps)
    true = evidence()
    found = {r["what"]: r for r in readings_of(true, "C4")}
    expected = {}
    for data_set, title in TITLES.items():
        for other in (DECONVOLUTION, LRP):
            lead = aopc_of(true, data_set, other) - aopc_of(true, data_set, SENSITIVITY)
            expected[f"{other} minus {SENSITIVITY}, {title}"] = (lead[:, -1].mean(), "above")
    for data_set, step, side in (
        ("places205", early, "above"),
        ("places205", steps, "below"),
        ("sun397", steps, "below"),
    ):
        ahead = aopc_of(true, data_set, SENSITIVITY) - aopc_of(true, data_set, RANDOM)
        what = f"{SENSITIVITY} relative to random at step {step}, {TITLES[data_set]}"
        expected[what] = (ahead[:, step].mean(), side)
    assert set(found) == set(expected)
    for what, (estimate, side) in expected.items():
        assert found[what]["estimate"] == pytest.approx(estimate, abs=1e-6)
        assert (found[what]["side"], found[what]["bound"]) == (side, 0.0)


def test_objects_are_compared_with_each_scene_data_set() -> None:
    """C5: how far each is ahead of random order there, less how far it is here."""
    true = evidence()
    found = readings_of(true, "C5")
    expected = [(e, scenes) for scenes in ("sun397", "places205") for e in (LRP, DECONVOLUTION, SENSITIVITY)]
    assert len(found) == len(expected)
    for reading, (explainer, scenes) in zip(found, expected, strict=True):
        assert reading["what"] == f"{explainer}, Objects minus {TITLES[scenes]}"
        ahead = [
            (aopc_of(true, name, explainer) - aopc_of(true, name, RANDOM))[:, -1].mean()
            for name in ("ilsvrc2012", scenes)
        ]
        assert reading["estimate"] == pytest.approx(ahead[0] - ahead[1])
        assert (reading["side"], reading["bound"], reading["n"]) == ("above", 0.0, 2 * IMAGES)


def test_dropout_is_compared_on_the_images_that_it_was_run_on() -> None:
    """C6: pairs that differ on these, in the direction that they have there; here all but LRP and deconvolution, which
    differ on the other images only.
    """
    true = evidence()
    ids = tuple(f"image {i}" for i in range(0, IMAGES, 3))[::-1]
    rows = np.arange(0, IMAGES, 3)[::-1]
    scenes = true.panels["sun397"]
    lrp = scenes.curves[LRP]["morf"]
    level = scenes.curves[DECONVOLUTION]["morf"].logits
    same = np.isin(np.arange(IMAGES), rows)[:, None, None]
    noise = 0.2 * np.random.default_rng(0).standard_normal((IMAGES, 1, lrp.logits.shape[2])) * (np.arange(11) > 0)
    scenes.curves[LRP]["morf"] = replace(  # type: ignore[index]
        lrp, logits=np.where(same, level + noise, lrp.logits).astype(np.float32)
    )
    # With dropout random order is best of all, then sensitivity, deconvolution and LRP.
    speeds = {LRP: 0.0, DECONVOLUTION: 1.0, SENSITIVITY: 2.0, RANDOM: 4.0}
    dropped = {e: replace(made_up.curves(np.full(len(ids), s)), image_ids=ids) for e, s in speeds.items()}
    found = readings_of(replace(true, panels={"sun397": scenes}, controls={"sun397": {"dropout": dropped}}), "C6")
    pairs = [
        (LRP, SENSITIVITY),
        (LRP, RANDOM),
        (DECONVOLUTION, SENSITIVITY),
        (DECONVOLUTION, RANDOM),
        (RANDOM, SENSITIVITY),
    ]
    assert [r["what"] for r in found] == [f"{a} minus {b} with dropout active, Scenes" for a, b in pairs]
    for reading, (better, worse) in zip(found, pairs, strict=True):
        assert reading["estimate"] == pytest.approx((speeds[better] - speeds[worse]) / 2, abs=0.01)
        assert (reading["n"], reading["side"], reading["bound"]) == (len(ids), "above", 0.0)


def test_sizes_and_entropies_are_of_their_own_columns() -> None:
    """C7: for how many of the images the order holds, by format; C8: by how many bits entropy is above LRP's."""
    true = evidence()
    shares = {"png_kb": (0.9, 0.8), "jpeg_kb": (0.7, 0.6)}
    for shown in true.panels.values():
        rows = {e: np.flatnonzero(shown.complexity["explainer"] == e) for e in (LRP, DECONVOLUTION, SENSITIVITY)}
        for measure, (first, second) in shares.items():
            column = shown.complexity[measure] = np.full(len(shown.complexity["image"]), 50.0)
            column[rows[LRP]] = np.where(np.arange(IMAGES) < first * IMAGES, 49.0, 50.0)
            column[rows[SENSITIVITY]] = np.where(np.arange(IMAGES) < second * IMAGES, 51.0, 50.0)
        column = shown.complexity["entropy"] = shown.complexity["entropy"].copy()
        column[rows[LRP]], column[rows[DECONVOLUTION]], column[rows[SENSITIVITY]] = 3.0, 4.0, 7.0
        column[rows[SENSITIVITY][:30]] = 8.0
    expected = [
        (f"images with {low} < {high}, {label}, {title}", share)
        for title in TITLES.values()
        for label, measured in (("PNG", "png_kb"), ("JPEG", "jpeg_kb"))
        for (low, high), share in zip(
            (("LRP", "deconvolution"), ("deconvolution", "sensitivity")), shares[measured], strict=True
        )
    ]
    found = judge(true)
    assert [(r["what"], r["estimate"]) for r in found["C7"]["readings"]] == expected
    assert {(r["bound"], r["side"], r["n"]) for r in found["C7"]["readings"]} == {(0.9, "above", IMAGES)}
    entropies = [(r["what"], r["estimate"], r["bound"], r["side"]) for r in found["C8"]["readings"]]
    assert entropies == [
        (f"{rival} minus {LRP}, {title}", bits, 0.0, "above")
        for title in TITLES.values()
        for rival, bits in ((DECONVOLUTION, 1.0), (SENSITIVITY, 4.5))
    ]


def test_a_training_is_read_by_the_larger_of_two_p_values() -> None:
    """C9: eight checkpoints that rise together, but for a pair: 1 of 10,001 orders and more is as good, and images leave
    no doubt; with images that do, their share counts.
    """
    true = evidence()
    learning = np.array([1.0, 2, 4, 3, 5, 6, 7, 8])
    correct = learning > np.arange(40)[:, None] / 5
    sure = Training("a network", np.repeat(learning[None], 30, axis=0), np.zeros((30, 8)), correct)
    (found,) = readings_of(replace(true, trainings={"x": sure}), "C9")
    order, _ = permutation_p(learning, correct.mean(axis=0), seed=0)
    assert found["what"] == "ρ over 8 checkpoints, a network"
    assert (found["p_for"], found["n"], found["bound"], found["side"]) == (order, 8, 0.0, "above")
    assert found["p_against"] == 1.0
    rho = rank_correlation(sure.heatmap, correct, seed=0)
    assert (found["estimate"], found["low"], found["high"]) == (rho.rho, rho.low, rho.high)
    noise = 9 * np.random.default_rng(0).standard_normal((30, 8))
    doubtful = replace(sure, heatmap=sure.heatmap + noise - noise.mean(axis=0))
    (found,) = readings_of(replace(true, trainings={"x": doubtful}), "C9")
    expected = rank_correlation(doubtful.heatmap, correct, seed=0)
    assert expected.not_positive > order
    assert found["p_for"] == expected.not_positive
    # The same trained the other way: the two p change sides.
    (back,) = readings_of(replace(true, trainings={"x": replace(sure, heatmap=-sure.heatmap)}), "C9")
    assert back["p_against"] == permutation_p(-learning, correct.mean(axis=0), seed=0)[1]
    assert back["p_for"] == 1.0


def test_beside_the_trend_are_relative_values_and_changes() -> None:
    """What rises with training in random order too is taken off; and what changes from one checkpoint to the next."""
    rng = np.random.default_rng(1)
    heatmap, random = rng.normal(size=(2, 20, 6)) + np.arange(6)
    correct = rng.random((50, 6)) < np.linspace(0.2, 0.8, 6)
    training = Training("a network", heatmap, random, correct)
    said = judge(replace(evidence(), trainings={"x": training}))["C9"]["reading"]
    relative = rank_correlation(heatmap - random, correct, seed=0)
    changes = rank_correlation(np.diff(heatmap, axis=1), np.diff(correct.astype(float), axis=1), seed=0)
    for words, r in (("relative to random order", relative), ("one checkpoint to the next", changes)):
        assert f"{words} ρ = {with_interval(r.rho, r.low, r.high)}" in said


def test_five_checkpoints_are_enough_and_four_are_not() -> None:
    true = evidence()
    training = true.trainings["objects"]
    for points, verdict in ((4, "could not run"), (5, None)):
        fewer = Training("it", training.heatmap[:, :points], training.random[:, :points], training.correct[:, :points])
        found = judge(replace(true, trainings={"x": fewer}))["C9"]
        assert (found["verdict"] == "could not run") == (verdict == "could not run")
        assert bool(found["readings"]) == (points == 5)


def test_conservation_is_the_distance_from_one_and_similarity_its_mean() -> None:
    """C10 and C11, with their bounds."""
    true = evidence()
    ratios = 1 + np.where(np.arange(IMAGES) % 2, 0.01, -0.04)
    similar = {DECONVOLUTION: np.array([0.995, 0.999]), LRP: np.array([0.2, 0.4, 0.9])}
    found = judge(replace(true, conservation={n: {LRP: ratios} for n in TITLES}, specificity=similar))
    for reading, title in zip(found["C10"]["readings"], TITLES.values(), strict=True):
        assert reading["what"] == f"mean deviation of Σ h / f(x) from 1, {LRP}, {title}"
        assert reading["estimate"] == pytest.approx(0.025)
        assert (reading["bound"], reading["side"]) == (0.05, "below")
    read = [(r["estimate"], r["bound"], r["side"], r["n"]) for r in found["C11"]["readings"]]
    assert read == [(pytest.approx(0.997), 0.99, "above", 2), (pytest.approx(0.5), 0.9, "below", 3)]
    assert [r["what"].split("'")[0] for r in found["C11"]["readings"]] == [
        f"similarity of {name}" for name in (DECONVOLUTION, LRP)
    ]


def test_each_claim_says_what_it_is_about() -> None:
    about = {c.id: c.about for c in CLAIMS}
    for texts in about.values():
        assert set(texts) == {"claim", "estimand", "test", "rule", "shown_in"}
        assert len(set(texts.values())) == 5
    shown = ["figure4"] * 5 + ["choices", "figure5", "figure5", "figure7", "figure2", "figure3"]
    assert [texts["shown_in"] for texts in about.values()] == shown
    assert about["C8"]["estimand"] == "paired difference in entropy, bit"
    # Each by the test that its readings take, not by the one of most claims.
    tests = {name: texts["test"].partition(";")[0].partition(",")[0] for name, texts in about.items()}
    assert {name: test.split()[0] for name, test in tests.items() if name in ("C5", "C7", "C9", "C11")} == {
        "C5": "Welch's",
        "C7": "exact",
        "C9": "permutation",
        "C11": "Student's",
    }
    assert "paired" not in tests["C11"]
    assert about["C2"]["estimand"] == "paired difference in AOPC, score before softmax"
    assert about["C7"]["test"] == "exact binomial test; Clopper and Pearson's interval"
    assert "Student's t test" in about["C1"]["test"]
    # About digits and a training, which stand for none of the paper's data sets.
    assert [c.id for c in CLAIMS if not c.on_panels] == ["C9", "C11"]
