"""The verdicts on the paper's claims, on results that are made up."""

from dataclasses import replace
from typing import Any

import numpy as np

from aopc.explainers.registry import EXPLAINERS
from aopc.paper.claims.evidence import Evidence
from aopc.paper.claims.judge import judge
from aopc.paper.claims.rules import CLAIMS
from made_up import AS_THE_PAPER_SAYS, IMAGES, curves, evidence, panel


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
            name: {"dropout": {e: curves(np.full(IMAGES, s)) for e, s in AS_THE_PAPER_SAYS.items()}} for name in panels
        },
        conservation={n: {"lrp-alpha2-beta1": np.full(IMAGES, 0.4)} for n in panels},
        trainings={"x": replace(true.trainings["objects"], heatmap=-true.trainings["objects"].heatmap)},
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


def test_sums_in_words_are_at_the_level_of_the_intervals() -> None:
    for claim in judge(evidence()).values():
        for reading in claim["readings"]:
            if reading["effect_size"] == reading["effect_size"]:  # a mean
                beyond = reading["low"] > reading["bound"] or reading["high"] < reading["bound"]
                decided = min(reading["p_for"], reading["p_against"]) < 0.025
                assert beyond == decided


def test_every_explainer_of_the_claims_exists() -> None:
    assert set(AS_THE_PAPER_SAYS) == set(EXPLAINERS)


def test_the_numbers_of_an_outcome_are_of_one_reading_each_under_its_own_name() -> None:
    found = judge(replace(evidence(), specificity=None))
    for claim in found.values():
        turning = [r for r in claim["readings"] if r["estimate"] == claim["effect"]]
        shown = [claim[k] for k in ("low", "high", "effect_size", "n")]
        assert not claim["readings"] or any(
            np.array_equal(shown, [r[k] for k in ("low", "high", "effect_size", "n")], equal_nan=True) for r in turning
        )
    nothing = found["C11"]
    assert (nothing["verdict"], nothing["n"], nothing["readings"]) == ("could not run", 0, [])
    assert {nothing[k] for k in ("effect", "low", "high", "effect_size", "p_holm")} == {None}
