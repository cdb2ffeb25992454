"""The sections of params.yaml, and what follows from them."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from aopc.base.checked import checked
from aopc.base.errors import InputError
from aopc.paper.settings import CheckpointSettings, ControlSettings
from aopc.perturbation.protocol import CONDITIONS, Condition, Protocol

PROTOCOL = Protocol(region_size=2, steps=6, repeats=2, random_orders=2)


def controls(**changes: Any) -> ControlSettings:
    given: dict[str, Any] = {
        "images": 3,
        "repeats": 2,
        "random_orders": 2,
        "removals": ("mean",),
        "lerf": True,
        "dropout": True,
        "places": 2,
        "explainers": ("centre-first",),
    }
    return ControlSettings(**{**given, **changes})


def judged(found: list[tuple[Condition, list[str]]]) -> dict[str, list[str]]:
    assert len({c.name for c, _ in found}) == len(found)
    return {condition.name: names for condition, names in found}


def test_conditions_follow_the_settings() -> None:
    found = controls().conditions(["lrp-epsilon-100", "random"], PROTOCOL)
    assert judged(found) == {
        "morf": ["centre-first"],
        "lerf": ["lrp-epsilon-100", "centre-first"],
        "mean": ["lrp-epsilon-100", "random"],
        "dropout": ["lrp-epsilon-100", "random"],
        "spatial": ["lrp-epsilon-100"],
    }
    assert [c for c, _ in found[:4]] == [CONDITIONS[n] for n in ("morf", "lerf", "mean", "dropout")]
    assert found[4][0].of(PROTOCOL) == replace(PROTOCOL, places=2)
    least = controls(removals=("uniform",), lerf=False, dropout=False, places=0, explainers=())
    assert least.conditions(["random"], PROTOCOL) == []
    with pytest.raises(InputError, match="did you mean 'mean'"):
        controls(removals=("meen",)).conditions(["random"], PROTOCOL)
    for wrong in ({"images": 0}, {"repeats": 0}, {"random_orders": 0}, {"places": -1}):
        with pytest.raises(InputError, match=r"must be an integer of [01] or more"):
            checked(ControlSettings, "controls", {**asdict(controls()), **wrong})


def test_a_removal_that_is_listed_twice_is_one_condition() -> None:
    found = controls(removals=("mean", "blur", "mean")).conditions(["random"], PROTOCOL)
    assert list(judged(found)) == ["morf", "lerf", "mean", "blur", "dropout", "spatial"]


def test_a_training_is_judged_by_the_profiles_protocol_but_for_what_it_says() -> None:
    main = Protocol(9, 100, 10, 20, "mean", 3, orders=("morf", "lerf"), dtype="bfloat16")
    training = CheckpointSettings("net", "lrp-alpha2-beta1", 40, 4, "title", random_orders=3)
    found = training.protocol(main)
    assert found == replace(main, region_size=4, random_orders=3, orders=("morf",))
    assert replace(training, steps=5, repeats=1).protocol(main).steps == 5
