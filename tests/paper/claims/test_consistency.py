"""Whatever was measured, a verdict, its counts, its sentence and its row of the README follow from the same numbers."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.base.errors import InputError
from aopc.base.files import write_json
from aopc.measures.summary import Summary
from aopc.paper.claims.evidence import Evidence
from aopc.paper.claims.judge import judge
from aopc.paper.readme import results_table
from aopc.perturbation.curves import Curves
from made_up import AS_THE_PAPER_SAYS, evidence, panel

LRP = "lrp-alpha2-beta1"
#: What may become of an explainer's curves; the second argument is LRP's.
HARM: Mapping[str, Callable[[Curves, Curves], Curves | None]] = {
    "none": lambda own, lrp: own,
    "missing": lambda own, lrp: None,
    "unknown": lambda own, lrp: replace(own, logits=np.full_like(own.logits, np.nan)),
    "partly unknown": lambda own, lrp: replace(own, logits=np.where(np.arange(len(own.logits)) % 3 == 0, np.nan, own.logits.T).T),
    "LRP's": lambda own, lrp: lrp,
    "LRP's but for rounding": lambda own, lrp: rounded(lrp),
    "constant": lambda own, lrp: replace(own, logits=np.repeat(own.logits[:1], len(own.logits), axis=0)),
    "LRP's less one": lambda own, lrp: replace(lrp, logits=lrp.logits + np.linspace(0, 1, 11, dtype=np.float32)),
}  # fmt: skip


def rounded(own: Curves) -> Curves:
    """The same but for the last bit, below in every step but the first."""
    logits = own.logits.copy()
    logits[:, :, 1:] = np.nextafter(logits[:, :, 1:], np.float32(-np.inf))
    return replace(own, logits=logits)


@st.composite
def hostile(draw: st.DrawFn) -> Evidence:
    true, count = evidence(), draw(st.sampled_from([1, 2, 3, 12, 60]))
    harm = {e: draw(st.sampled_from(list(HARM))) for e in AS_THE_PAPER_SAYS}
    panels: dict[str, Summary] = {}
    for i, name in enumerate(draw(st.sets(st.sampled_from(sorted(true.panels))))):
        generator = np.random.default_rng([i, count])
        speeds = {e: s + generator.standard_normal(count) for e, s in AS_THE_PAPER_SAYS.items()}
        own = panel(f"a|b <b>{name}</b>", speeds, count=count)
        lrp, made = own.curves[LRP]["morf"], {}
        for explainer, by_order in own.curves.items():
            how = "none" if explainer == "random" and harm[explainer] == "missing" else harm[explainer]
            found = {order: HARM[how](c, lrp) for order, c in by_order.items()}
            made |= {explainer: {o: c for o, c in found.items() if c is not None}} if all(found.values()) else {}
        rows = generator.permutation(len(own.complexity["image"]))
        table = {key: values[rows] for key, values in own.complexity.items()}
        panels[name] = replace(own, curves=made, complexity=table)
    digits = draw(st.sampled_from([1, 2, 80]))
    spread = draw(st.sampled_from([0.0, 1e-9, 0.1]))
    similar = {m: v + spread * np.arange(80) / 80 for m, v in {"deconvolution-l2": 0.995, LRP: 0.5}.items()}
    points, training = draw(st.sampled_from([2, 4, 5, 8])), true.trainings["objects"]
    cut = {name: getattr(training, name)[:count, :points] for name in ("heatmap", "random")}
    with_dropout = draw(st.booleans())
    return replace(
        true,
        panels=panels,
        titles={name: p.name for name, p in panels.items()},
        controls={
            n: {"dropout": {e: next(iter(c.values())) for e, c in p.curves.items()}} if with_dropout else {}
            for n, p in panels.items()
        },
        conservation={n: {LRP: np.full(count, draw(st.sampled_from([1.0, 0.5, np.nan, np.inf])))} for n in panels},
        trainings={"objects": replace(training, **cut, correct=training.correct[:, :points])},
        specificity=draw(st.sampled_from([None, {m: v[:digits] for m, v in similar.items()}])),
    )


SAID = re.compile(r"(\d+) of (\d+) comparisons come out as claimed(?:, (\d+) the other way)?(?:, (\d+) undecided)?;")
#: Cells end at bars that are not escaped.
CELLS = re.compile(r"(?<!\\)\|")


@settings(max_examples=40, deadline=None)
@given(found=hostile())
def test_all_that_is_said_follows_from_one_set_of_numbers(found: Evidence, tmp_path_factory: Any) -> None:
    judged = judge(found)
    table = results_table(judged, {}, {})
    rows = {row.split("**")[1]: CELLS.split(row) for row in table.splitlines()[2:]}
    assert list(rows) == list(judged)
    for name, claim in judged.items():
        readings, said = claim["readings"], SAID.match(claim["reading"])
        _, _, effect, _, verdict, _, _ = rows[name]
        assert verdict.strip() == claim["verdict"]
        assert not re.search(r"\b(nan|inf|None)\b|(?<!\\)<[a-z/]", " | ".join(rows[name]))
        for r in readings:
            assert math.isnan(r["effect_size"]) or abs(r["effect_size"]) < 1e5
            assert r["n"] > 1 or r["verdict"] == "undecided"
            assert not (r["n"] and r["low"] > r["estimate"] + 1e-9)
        if said is None:
            assert claim["verdict"] == "could not run"
            assert not readings
            continue
        as_claimed, total, other_way, undecided = (int(n or 0) for n in said.groups())
        assert total == len(readings) == as_claimed + other_way + undecided
        assert as_claimed == sum(r["p_for_corrected"] < 0.05 for r in readings)
        assert other_way == sum(r["p_against_corrected"] < 0.05 for r in readings)
        rule = "not replicated" if other_way else "replicated" if as_claimed == total else "undecided"
        assert claim["verdict"] == rule
        assert (claim["p_holm"] < 0.05) == (rule != "undecided")
        turning = readings[claim["turning"]]
        assert turning["verdict"] == rule
        assert f", n = {turning['n']}: " in effect
        if turning["estimate"] == turning["estimate"]:
            assert effect.strip().startswith(f"{turning['estimate']:.2f}")
    # What is read back from the file says the same.
    file: Path = tmp_path_factory.mktemp("claims") / "claims.json"
    write_json(file, judged)
    assert results_table(json.loads(file.read_text()), {}, {}) == table


@cache
def alone() -> Evidence:
    return evidence()


def changed(change: Callable[[Summary], Summary]) -> Evidence:
    return replace(alone(), panels={name: change(p) for name, p in alone().panels.items()})


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_what_float32_rounded_is_no_difference(share: float) -> None:
    """An explainer under another name, whose curves differ in the last bit, is neither above nor below."""

    def twice(p: Summary) -> Summary:
        lrp = p.curves[LRP]["morf"]
        some = np.random.default_rng(0).random(lrp.logits.shape) < share
        other = replace(lrp, logits=np.where(some, rounded(lrp).logits, lrp.logits))
        return replace(p, curves={**p.curves, "lrp-epsilon-0.01": {"morf": other}, "lrp-epsilon-100": {"morf": other}})

    found = judge(changed(twice))["C2"]
    assert found["verdict"] == "undecided"
    assert {r["verdict"] for r in found["readings"]} == {"undecided"}
    assert all(math.isnan(r["effect_size"]) for r in found["readings"])


def test_rows_of_a_table_may_come_in_any_order() -> None:
    def mixed(p: Summary) -> Summary:
        rows = np.random.default_rng(0).permutation(len(p.complexity["image"]))
        return replace(p, complexity={key: values[rows] for key, values in p.complexity.items()})

    found, expected = (judge(e) for e in (changed(mixed), alone()))
    for claim in ("C7", "C8"):
        for one, other in zip(found[claim]["readings"], expected[claim]["readings"], strict=True):
            assert one["estimate"] == pytest.approx(other["estimate"])
            assert one["effect_size"] == pytest.approx(other["effect_size"], nan_ok=True)


def test_heatmaps_that_were_not_measured_are_said() -> None:
    def cut(p: Summary) -> Summary:
        rows = ~((p.complexity["explainer"] == "deconvolution-l2") & (p.complexity["image"] == "image 7"))
        return replace(p, complexity={key: values[rows] for key, values in p.complexity.items()})

    found = judge(changed(cut))
    for claim in ("C7", "C8"):
        assert found[claim]["verdict"] == "could not run"
        assert "deconvolution-l2's heatmap of image 7 of Scenes was not measured" in found[claim]["reading"]


def dropped(change: Callable[[str, Curves], Curves | None]) -> Evidence:
    controls = {}
    for name, conditions in alone().controls.items():
        made = {e: change(e, c) for e, c in conditions["dropout"].items()}
        controls[name] = {"dropout": {e: c for e, c in made.items() if c is not None}}
    return replace(alone(), controls=controls)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e, c: c.take(np.arange(60).repeat(4)), "are of some image twice"),
        (lambda e, c: replace(c, image_ids=tuple(f"other {i}" for i in c.image_ids)), "are of an image of none: other image 0"),
        (lambda e, c: c if e == "random" else c.take(slice(None, None, -1)), "are not all of the same images"),
    ],
)  # fmt: skip
def test_images_of_a_condition_are_the_panels_each_once(change: Callable[[str, Curves], Curves], reason: str) -> None:
    with pytest.raises(InputError, match=f"under other conditions on scenes {reason}"):
        judge(dropped(change))


@pytest.mark.parametrize("missing", ["random", LRP])
def test_explainers_that_a_condition_lacks_are_said(missing: str) -> None:
    found = judge(dropped(lambda e, c: None if e == missing else c))["C6"]
    assert found["verdict"] == "could not run"
    assert f"heatmaps of {missing} were not judged with dropout active on Scenes" in found["reading"]


def test_some_of_a_panels_images_in_another_order_are_found_by_name() -> None:
    order = np.random.default_rng(0).permutation(60)[:40]
    (one, other) = (judge(dropped(lambda e, c, o=o: c.take(o)))["C6"] for o in (order, np.sort(order)))  # type: ignore[misc]
    assert one["verdict"] == other["verdict"] == "replicated"
    assert one["effect"] == pytest.approx(other["effect"])


def test_the_weakest_comparison_is_named_where_all_p_values_are_zero() -> None:
    many = replace(alone(), panels={"sun397": panel("scenes", AS_THE_PAPER_SAYS, count=6000)}, controls={})
    found = judge(many)["C1"]
    assert {r["p_for"] for r in found["readings"]} == {0.0}
    assert found["effect"] == min(r["estimate"] for r in found["readings"])
    assert "lrp-alpha2-beta1 minus deconvolution-linf" in found["reading"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (lambda t: {n: getattr(t, n)[:, :2] for n in ("heatmap", "random", "correct")}, "2 checkpoints are too few"),
        (lambda t: {"heatmap": t.heatmap * np.nan}, "ρ is not defined"),
        (lambda t: {"correct": t.correct & False}, "ρ is not defined"),
    ],
)
def test_a_training_that_has_no_correlation_says_why(changes: Callable[[Any], Any], reason: str) -> None:
    training = alone().trainings["objects"]
    found = judge(replace(alone(), trainings={"objects": replace(training, **changes(training))}))["C9"]
    assert found["verdict"] == "could not run"
    assert reason in found["reading"]


def test_a_method_without_digits_is_said() -> None:
    found = judge(replace(alone(), specificity={LRP: np.full(9, 0.5)}))["C11"]
    assert found["verdict"] == "could not run"
    assert found["reading"].endswith("no heatmaps of digits of deconvolution-l2")
