"""What each claim is read from, and what has to be left out."""

from dataclasses import replace

import numpy as np

from aopc.paper.claims.evidence import Training
from aopc.paper.claims.judge import judge
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
