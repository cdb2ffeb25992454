"""The verdicts on the paper's claims, on results that are made up."""

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

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


def vague(seed: int, strength: float) -> Evidence:
    """Evidence in which some things are clear, some against the paper and most in between."""
    generator, true = np.random.default_rng(seed), evidence()
    panels = {}
    for name, p in true.panels.items():
        speeds = {
            e: 2 + strength * generator.standard_normal() + generator.standard_normal(IMAGES) for e in AS_THE_PAPER_SAYS
        }
        panels[name] = panel(p.name, speeds)
        for measure in ("entropy", "png_kb", "jpeg_kb"):
            sizes = panels[name].complexity[measure]
            sizes += strength * generator.standard_normal(len(sizes))
    names = list(panels)
    training = true.trainings["objects"]
    wobbly = training.heatmap + 10 * strength * generator.standard_normal(training.heatmap.shape[1])
    return replace(
        true,
        panels=panels,
        controls={
            n: {"dropout": {e: curves(3 * strength * generator.standard_normal(IMAGES)) for e in AS_THE_PAPER_SAYS}}
            for n in names
        },
        conservation={n: {"lrp-alpha2-beta1": 1 + 0.1 * strength * generator.standard_normal(IMAGES)} for n in names},
        trainings={"objects": replace(training, heatmap=wobbly)},
        specificity={
            m: 0.95 + 0.1 * strength * generator.standard_normal(20) for m in ("deconvolution-l2", "lrp-alpha2-beta1")
        },
    )


SAID = re.compile(
    r"(\d+) of (\d+) comparisons come out as claimed(?:, (\d+) the other way)?(?:, (\d+) undecided)?;"
    r" (most against it|furthest from the claim): (.+)"
)


@cache
def judged(seed: int, strength: float) -> dict[str, dict[str, Any]]:
    return judge(vague(seed, strength))


RANDOM_EVIDENCE = [(seed, strength) for seed in range(3) for strength in (0.1, 0.3, 0.6, 1.0)]


@pytest.mark.parametrize(("seed", "strength"), RANDOM_EVIDENCE)
def test_no_sentence_contradicts_its_verdict(seed: int, strength: float) -> None:
    """The rule as the report states it, read back from the sentence and from the numbers beside it, claim by claim."""
    assert len(judged(seed, strength)) == 11
    for claim in judged(seed, strength).values():
        if claim["verdict"] == "could not run":
            assert not claim["readings"]
            continue
        found = SAID.match(claim["reading"])
        assert found is not None
        as_claimed, total, other_way, undecided = (int(n or 0) for n in found.groups()[:4])
        # What is said is what the readings' own corrected p-values say.
        assert total == len(claim["readings"]) == as_claimed + other_way + undecided
        assert as_claimed == sum(r["p_for_corrected"] < 0.05 for r in claim["readings"])
        assert other_way == sum(r["p_against_corrected"] < 0.05 for r in claim["readings"])
        # The verdict is the rule on what is said, and on p.
        rule = "not replicated" if other_way else "replicated" if as_claimed == total else "undecided"
        assert claim["verdict"] == rule
        assert (claim["p_holm"] < 0.05) == (rule != "undecided")
        # The effect is that of the reading it turns on, which is the one named, and comes out as the claim does.
        turning = claim["readings"][claim["turning"]]
        assert found[6].startswith(turning["what"])
        assert (claim["effect"], claim["n"]) == (turning["estimate"], turning["n"])
        assert turning["verdict"] == rule
        assert (found[5] == "most against it") == (rule == "not replicated")
        beyond = turning["estimate"] > turning["bound"]
        assert rule == "undecided" or (beyond == (turning["side"] == "above")) == (rule == "replicated")


def test_random_evidence_meets_every_verdict() -> None:
    """Otherwise the test above would say little."""
    met = {c.id: {judged(*given)[c.id]["verdict"] for given in RANDOM_EVIDENCE} for c in CLAIMS}
    assert set().union(*met.values()) == {"replicated", "not replicated", "undecided"}
    assert sum(len(verdicts) > 1 for verdicts in met.values()) >= 8


def test_the_readings_of_one_image_decide_nothing() -> None:
    one = evidence()
    training = one.trainings["objects"]
    alone = replace(training, heatmap=training.heatmap[:1], random=training.random[:1])
    found = judge(replace(one, trainings={"objects": alone}))["C9"]
    assert found["verdict"] == "undecided"
    assert "[–, –]" in found["reading"]


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


def test_what_a_claim_had_to_leave_out_ends_its_sentence() -> None:
    true = evidence()
    found = without(true, conservation={n: c for n, c in true.conservation.items() if n != "sun397"})
    assert found["C10"]["reading"].endswith("; left out: this profile has no heatmaps of lrp-alpha2-beta1")
    assert "left out" not in judge(true)["C10"]["reading"]
