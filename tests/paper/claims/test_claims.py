"""The verdicts: single comparisons, claims made of several, and the paper's claims on made-up results."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import aopc
from aopc.paper.claims import CLAIMS, Evidence, Training, judge
from aopc.explainers import EXPLAINERS
from aopc.paper.readme import results_table
from aopc.measures.statistics.correlation import permutation_p, rank_correlation
from aopc.measures.statistics.hypotheses import (
    conjunction,
    difference_reading,
    holm,
    mean_reading,
    share_reading,
    verdict_of,
)
from aopc.measures.specificity import similarity_to_others, with_their_spread
from aopc.measures.summary import Panel
from aopc.engine.curves import Curves

IMAGES, STEPS = 60, 10
#: How fast the score falls under each explainer where everything is as the paper says.
AS_THE_PAPER_SAYS = {
    "sensitivity-l2": 0.0,
    "sensitivity-linf": 0.1,
    "deconvolution-l2": 1.5,
    "deconvolution-linf": 1.6,
    "lrp-epsilon-0.01": 3.4,
    "lrp-epsilon-100": 3.5,
    "lrp-alpha2-beta1": 3.0,
    "random": 1.0,
}


def curves(speed: np.ndarray, noise: float = 0.1, seed: int = 0) -> Curves:
    """Scores that fall from 10 by ``speed`` in all, a straight line an image."""
    generator = np.random.default_rng(seed)
    line = 10 - speed[:, None] * np.linspace(0, 1, STEPS + 1)
    line[:, 1:] += noise * generator.standard_normal((len(speed), 1))
    logits = line[:, None].astype(np.float32)
    ids = tuple(f"image {i}" for i in range(len(speed)))
    return Curves(logits, logits / 20, np.zeros(len(speed), dtype=np.int64), ids)


def panel(name: str, speeds: dict[str, Any], scale: float = 1.0, count: int = IMAGES) -> Panel:
    by_explainer = {}
    for i, (explainer, speed) in enumerate(speeds.items()):
        order = "random" if explainer == "random" else "morf"
        speed = scale * np.broadcast_to(speed, (count,)).astype(float)
        by_explainer[explainer] = {order: curves(speed, seed=i)}
    sizes = {"sensitivity-l2": 3.0, "deconvolution-l2": 2.0, "lrp-alpha2-beta1": 1.0}
    rows = [(e, i) for e in speeds for i in range(count)]
    generator = np.random.default_rng(1)
    jitter = 0.1 * generator.random(len(rows))
    size = np.array([sizes.get(e, 4.0) for e, _ in rows]) + jitter
    complexity = {
        "explainer": np.array([e for e, _ in rows]),
        "image": np.array([f"image {i}" for _, i in rows]),
        "entropy": size,
        "png_kb": size,
        "jpeg_kb": size,
        "zero": np.zeros(len(rows), dtype=bool),
        "nonfinite": np.zeros(len(rows), dtype=bool),
    }
    return Panel(name, by_explainer, complexity, seed=0)


def evidence() -> Evidence:
    """Results of which every claim of the paper is true."""
    # On MIT Places sensitivity begins above random order and ends below.
    places = panel("places", AS_THE_PAPER_SAYS)
    bent = places.curves["sensitivity-l2"]["morf"].logits.copy()
    bent[:, :, 1] = 8.0
    bent[:, :, 2:] = 10.5
    places.curves["sensitivity-l2"]["morf"] = replace(  # type: ignore[index]
        places.curves["sensitivity-l2"]["morf"], logits=bent
    )
    panels = {
        "ilsvrc2012": panel("objects", AS_THE_PAPER_SAYS | {"sensitivity-l2": 1.2}, scale=3.0),
        "sun397": panel("scenes", AS_THE_PAPER_SAYS),
        "places205": places,
    }
    generator = np.random.default_rng(3)
    learning = np.linspace(0.1, 0.9, 8)
    training = Training(
        "a network",
        learning * 5 + 0.1 * generator.standard_normal((50, 8)),
        np.zeros((50, 8)),
        generator.random((400, 8)) < learning,
    )
    return Evidence(
        panels=panels,
        titles={"ilsvrc2012": "Objects", "sun397": "Scenes", "places205": "Places"},
        controls={
            name: {"dropout": {e: next(iter(c.values())) for e, c in p.curves.items()}}
            for name, p in panels.items()
        },
        conservation={
            name: {"lrp-alpha2-beta1": 1 + 0.01 * generator.standard_normal(IMAGES)}
            for name in panels
        },
        trainings={"objects": training},
        specificity={
            "deconvolution-l2": 1 - 1e-6 * generator.random(80),
            "lrp-alpha2-beta1": 0.5 + 0.1 * generator.standard_normal(80),
        },
        seed=0,
    )


def test_all_claims_are_replicated_where_all_are_true() -> None:
    found = judge(evidence())
    assert list(found) == [f"C{i}" for i in range(1, 12)] == [c.id for c in CLAIMS]
    assert {n: f["verdict"] for n, f in found.items()} == dict.fromkeys(found, "replicated")
    for claim in found.values():
        assert {"verdict", "effect", "low", "high", "n", "rule"} <= set(claim)
        assert claim["low"] <= claim["effect"] <= claim["high"]
        assert claim["n"] > 0
        assert claim["readings"]


def without(found: Evidence, **changes: Any) -> dict[str, dict[str, Any]]:
    return judge(replace(found, **changes))


def test_each_claim_is_not_replicated_where_the_opposite_is_true() -> None:
    true = evidence()
    opposite = {e: 4 - s for e, s in AS_THE_PAPER_SAYS.items()} | {"random": 5.0}
    panels = {
        # All are behind random order here, on the objects by most.
        "ilsvrc2012": panel("objects", opposite, scale=3.0),
        "sun397": panel("scenes", opposite),
        "places205": panel("places", opposite),
    }
    for p in panels.values():
        for measure in ("entropy", "png_kb", "jpeg_kb"):
            p.complexity[measure][:] = 5 - p.complexity[measure]
    found = without(
        true,
        panels=panels,
        # With dropout it is the other way again.
        controls={
            name: {"dropout": {e: curves(np.full(IMAGES, s)) for e, s in AS_THE_PAPER_SAYS.items()}}
            for name in panels
        },
        conservation={n: {"lrp-alpha2-beta1": np.full(IMAGES, 0.4)} for n in panels},
        trainings={
            "x": replace(true.trainings["objects"], heatmap=-true.trainings["objects"].heatmap)
        },
        specificity={k: 1 - v for k, v in (true.specificity or {}).items()},
    )
    assert {n: f["verdict"] for n, f in found.items()} == dict.fromkeys(found, "not replicated")
    for claim in found.values():  # the reading that it turns on speaks against it
        turning = [r for r in claim["readings"] if r["estimate"] == claim["effect"]]
        assert min(r["p_against"] for r in turning) < 0.05


def test_claims_without_difference_are_undecided() -> None:
    generator = np.random.default_rng(5)
    same = {e: 2 + generator.standard_normal(IMAGES) for e in AS_THE_PAPER_SAYS}
    panels = {name: panel(name, same) for name in ("ilsvrc2012", "sun397", "places205")}
    found = without(evidence(), panels=panels)
    assert {found[c]["verdict"] for c in ("C1", "C2", "C3", "C5")} == {"undecided"}


def test_what_cannot_be_read_says_why() -> None:
    nothing = Evidence({}, {}, {}, {}, {}, None, seed=0)
    found = judge(nothing)
    assert {f["verdict"] for f in found.values()} == {"could not run"}
    assert all(f["effect"] is None and f["reading"] for f in found.values())
    assert "SUN397 or ILSVRC2012 or MIT Places" in found["C1"]["reading"]
    assert "network without pooling" in found["C11"]["reading"]
    one = evidence()
    objects = {k: getattr(one, k)["ilsvrc2012"] for k in ("panels", "titles", "conservation")}
    found = without(one, controls={}, **{k: {"ilsvrc2012": v} for k, v in objects.items()})
    assert found["C1"]["verdict"] == "replicated"
    assert "nothing here stands for SUN397 and MIT Places" in found["C1"]["reading"]
    assert found["C5"]["verdict"] == "could not run"
    assert "dropout" in found["C6"]["reading"]
    assert "nothing here stands" not in found["C9"]["reading"]


def test_missing_explainers_and_few_checkpoints_are_said() -> None:
    speeds = {e: s for e, s in AS_THE_PAPER_SAYS.items() if not e.startswith("deconvolution")}
    few = evidence()
    training = few.trainings["objects"]
    short = Training(
        "a network", training.heatmap[:, :3], training.random[:, :3], training.correct[:, :3]
    )
    found = without(few, panels={"ilsvrc2012": panel("objects", speeds)}, trainings={"x": short})
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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_no_correction_and_bonferronis(values: list[float]) -> None:
    p = {str(i): v for i, v in enumerate(values)}
    adjusted = holm(p)
    for name, value in p.items():
        assert value <= adjusted[name] <= min(1.0, len(p) * value) + 1e-12
    ranked = sorted(p, key=lambda n: p[n])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(ranked))


def test_holm_by_hand() -> None:
    """Holm (1979): the smallest p times 4, the next times 3, and so on, never falling."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )


def test_verdicts_are_wrong_no_more_often_than_said() -> None:
    """Claims of three comparisons each, of which one is true nowhere: 5 % may be called replicated."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        p_values = {}
        for claim in range(5):
            # The bound is the truth of the first comparison; the others hold clearly.
            readings = [
                mean_reading("", generator.standard_normal(25) + shift, seed=0)
                for shift in (0.0, 2.0, 2.0)
            ]
            p_values[str(claim)] = conjunction(readings)
        adjusted = holm({n: min(1.0, 2 * min(p)) for n, p in p_values.items()})
        verdicts = {verdict_of(*p_values[n], adjusted[n]) for n in p_values}
        wrong += bool(verdicts - {"undecided"})
    assert wrong / 400 < 0.08  # 5 % and three standard errors


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 1), st.sampled_from(["above", "below"]))
def test_a_mean_reading_is_students_test(seed: int, bound: float, side: Any) -> None:
    values = np.random.default_rng(seed).standard_normal(20) + 0.3
    found = mean_reading("x", values, seed=0, bound=bound, side=side)
    alternative = {"above": "greater", "below": "less"}[side]
    expected = stats.ttest_1samp(values, bound, alternative=alternative).pvalue
    assert found.p_for == pytest.approx(expected)
    assert found.p_for + found.p_against == pytest.approx(1)
    assert found.low <= found.estimate <= found.high
    assert (found.effect_size > 0) == (found.p_for < 0.5)


def test_readings_of_too_little_decide_nothing() -> None:
    for values in ([], [1.0], [float("nan"), 1.0], [0.0, 0.0]):
        found = mean_reading("x", values, seed=0)
        assert (found.p_for, found.p_against) == (1.0, 1.0)
    always = mean_reading("x", [1.0, 1.0, 1.0], seed=0)
    assert (always.p_for, always.p_against) == (1 / 8, 1.0)  # the sign test


def test_shares_and_differences_are_the_textbooks() -> None:
    found = share_reading("x", [True] * 48 + [False] * 2, bound=0.9)
    assert found.estimate == 0.96
    assert found.p_for == pytest.approx(stats.binom.sf(47, 50, 0.9))
    assert found.low < 0.9 < found.estimate < found.high
    a, b = np.random.default_rng(0).standard_normal((2, 40))
    found = difference_reading("x", a + 1, b[:30], seed=0)
    expected = stats.ttest_ind(a + 1, b[:30], equal_var=False, alternative="greater")
    assert found.p_for == pytest.approx(expected.pvalue)
    assert found.low < found.estimate < found.high
    with pytest.raises(aopc.InputError, match="at least one reading"):
        conjunction([])


def test_permutations_of_checkpoints() -> None:
    """Of four points in perfect order 1 of 24 orders is as good; of ten, none of the random ones."""
    rising = np.arange(4.0)
    assert permutation_p(rising, rising) == (1 / 24, 1.0)
    assert permutation_p(-rising, rising) == (1.0, 1 / 24)
    many = np.arange(10.0)
    assert permutation_p(many, many)[0] == pytest.approx(1 / 10_001)
    assert permutation_p(many, many, seed=1) == permutation_p(many, many, seed=1)


def test_paired_rank_correlation_resamples_images_together() -> None:
    """Two measures that are the same image by image agree in every resample."""
    values = np.random.default_rng(0).standard_normal((30, 5))
    together = rank_correlation(values, values * 2 + 1, paired=True)
    apart = rank_correlation(values, values * 2 + 1)
    assert (together.low, together.rho, together.high) == (1.0, 1.0, 1.0)
    assert apart.low < 1
    broken = values.copy()
    broken[0] = np.nan
    assert rank_correlation(values, broken, paired=True).rho == pytest.approx(1.0)
    with pytest.raises(aopc.InputError, match="same images"):
        rank_correlation(values, values[:10], paired=True)


def test_the_readmes_table_has_a_row_a_claim_and_the_papers_ratios() -> None:
    true = evidence()
    metrics = {
        p.name: {
            e: {"png_kb": size, "jpeg_kb": size}
            for e, size in (
                ("sensitivity-l2", 2.0),
                ("deconvolution-l2", 1.5),
                ("lrp-alpha2-beta1", 1.0),
            )
        }
        for p in true.panels.values()
    }
    stands_for = {name: p.name for name, p in true.panels.items()}
    table = results_table(judge(true), metrics, stands_for)
    lines = table.splitlines()
    assert len(lines) == 2 + len(CLAIMS) + 4
    assert all(line.count("|") == 6 for line in lines)
    # 154 / 183, 154 / 177 and 155 / 183 in the paper's Table I.
    assert "0.84 / 0.87 / 0.85 | 0.50 / 0.50 / 0.50 | -0.34 / -0.37 / -0.35" in table


def test_every_explainer_of_the_claims_exists() -> None:
    assert set(AS_THE_PAPER_SAYS) == set(EXPLAINERS)


def test_what_cannot_be_tested_counts_as_nothing_shown() -> None:
    """A mean over one image, or over none, must not pass for a comparison that holds."""
    nan = np.full(IMAGES, np.nan)
    for first in (nan, np.append(nan[1:], 1.0)):
        found = difference_reading("x", first, np.ones(5), seed=0)
        assert (found.p_for, found.p_against) == (1.0, 1.0)
    assert difference_reading("x", [1.0, 1.0], [0.0, 0.0], seed=0).p_for == 1.0
    broken = evidence()
    objects = broken.panels["ilsvrc2012"]
    objects.curves["sensitivity-l2"]["morf"].logits[:] = np.nan
    assert judge(broken)["C5"]["verdict"] == "undecided"
    assert permutation_p([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (1.0, 1.0)


def test_a_part_that_cannot_be_read_is_left_out_by_name() -> None:
    true = evidence()
    table = true.panels["sun397"].complexity
    table["zero"][table["explainer"] == "deconvolution-l2"] = True
    found = judge(true)["C8"]
    assert found["verdict"] == "replicated"
    assert len(found["readings"]) == 4
    assert "left out: on every image of Scenes" in found["reading"]


def test_sums_in_words_are_at_the_level_of_the_intervals() -> None:
    for claim in judge(evidence()).values():
        for reading in claim["readings"]:
            if reading["effect_size"] == reading["effect_size"]:  # a mean
                beyond = reading["low"] > reading["bound"] or reading["high"] < reading["bound"]
                decided = min(reading["p_for"], reading["p_against"]) < 0.025
                assert beyond == decided


def test_similar_heatmaps_are_not_independent() -> None:
    """The interval of the mean similarity covers its true value about as often as it says."""
    generator = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 12)
    covered, trials = 0, 150
    truth = np.mean(
        [similarity_to_others(_heatmaps(generator, classes), classes).mean() for _ in range(400)]
    )
    for _ in range(trials):
        found = similarity_to_others(_heatmaps(generator, classes), classes)
        values = with_their_spread(found, classes)
        assert values.mean() == pytest.approx(found.mean())
        reading = mean_reading("x", values, seed=0)
        covered += reading.low <= truth <= reading.high
    assert covered / trials > 0.87  # the plain spread covers 70 %


def _heatmaps(generator: np.random.Generator, classes: np.ndarray) -> np.ndarray:
    """Pictures that share a part of varying strength."""
    common = np.random.default_rng(1).standard_normal((classes.max() + 1, 5, 5))
    strength = generator.uniform(0, 2, len(classes))[:, None, None]
    return strength * common[classes] + generator.standard_normal((len(classes), 5, 5))
