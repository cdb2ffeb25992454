"""The settings of region perturbation, its conditions, and published protocols."""

from typing import Any

import pytest

import aopc
from aopc.perturbation.order import RANDOM
from aopc.perturbation.presets import PRESETS, preset_named
from aopc.perturbation.protocol import (
    CONDITIONS,
    DROPOUT,
    LERF,
    MAIN,
    SPATIAL,
    Condition,
    Protocol,
    condition_named,
)
from aopc.perturbation.removal import REMOVALS


def test_the_defaults_are_the_papers() -> None:
    """Samek et al., section III.B: regions of 9 × 9, 100 steps, 10 repeats, uniform noise."""
    found = Protocol()
    assert (found.region_size, found.steps, found.repeats) == (9, 100, 10)
    assert (found.removal, found.orders, found.dtype) == ("uniform", ("morf",), "float32")
    assert preset_named("samek2016").protocol == found
    journal = preset_named("tnnls2017")
    assert journal.protocol == Protocol(orders=("morf", "lerf"))
    assert [c.name for c in journal.conditions] == ["dirichlet", "mean", "blur"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"orders": ()}, "morf, lerf or both; got ()"),
        ({"orders": ("morf", "random")}, "morf, lerf or both; got"),
        ({"region_size": 0}, "region_size must be at least 1"),
        ({"repeats": 0}, "at least 1"),
        ({"random_orders": 0}, "at least 1"),
        ({"places": -1}, "at least 0; got -1"),
        ({"dtype": "float23"}, "did you mean 'float32'"),
        ({"dropout": 1}, "dropout must be True or False"),
        ({"dropout": "no"}, "dropout must be True or False"),
    ],
)
def test_impossible_settings_are_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(aopc.InputError, match=said) as caught:
        Protocol(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "of_a_heatmap", "at_random"),
    [
        ({"repeats": 10}, 10, 10),
        ({"repeats": 3, "random_orders": 5}, 3, 6),
        ({"repeats": 10, "random_orders": 4}, 10, 10),
        ({"repeats": 2, "orders": ("morf", "lerf")}, 4, 2),
        ({"repeats": 2, "places": 3}, 6, 2),
    ],
)
def test_trajectories_are_counted(settings: dict[str, Any], of_a_heatmap: int, at_random: int) -> None:
    protocol = Protocol(**settings)
    assert protocol.trajectories("lrp-epsilon-100") == of_a_heatmap
    assert protocol.trajectories(RANDOM) == at_random
    assert protocol.orders_of(RANDOM) == ("random",)


def test_conditions_change_what_their_names_say_and_nothing_else() -> None:
    base = Protocol(5, 20, 3, removal="mean", seed=4)
    assert condition_named(MAIN).of(base) == base
    for name, changed in (
        (LERF, {"orders": ("lerf",)}),
        (DROPOUT, {"dropout": True}),
        (SPATIAL, {"places": 1}),
        *((name, {"removal": name}) for name in REMOVALS),
    ):
        found = condition_named(name)
        assert found.name == name
        parameters = found.of(base).as_parameters()
        assert parameters == base.as_parameters() | changed
    assert set(CONDITIONS) == {MAIN, LERF, DROPOUT, SPATIAL, *REMOVALS}


def test_random_order_has_no_lerf_and_no_places_of_its_own() -> None:
    names = ["lrp", RANDOM]
    assert condition_named(LERF).explainers(names) == ["lrp"]
    assert condition_named(SPATIAL).explainers(names) == ["lrp"]
    assert condition_named("blur").explainers(names) == names
    assert Condition("fine", {"region_size": 2}).explainers(names) == names


def test_unknown_conditions_and_protocols_are_said() -> None:
    with pytest.raises(aopc.InputError, match="did you mean 'spatial'"):
        condition_named("spacial")
    with pytest.raises(aopc.InputError, match=r"the removal 'no\.such:function'"):
        condition_named("no.such:function")
    path = "aopc.perturbation.removal.fills:blur"
    assert condition_named(path).of(Protocol()).removal == path
    with pytest.raises(aopc.InputError, match="did you mean 'samek2016'"):
        preset_named("samek2015")
    assert set(PRESETS) == {"samek2016", "tnnls2017"}


def test_every_default_by_name() -> None:
    """Published numbers stand on each of them."""
    assert Protocol().as_parameters() == {
        "region_size": 9,
        "steps": 100,
        "repeats": 10,
        "random_orders": None,
        "removal": "uniform",
        "seed": 0,
        "orders": ("morf",),
        "dtype": "float32",
        "dropout": False,
        "places": 0,
    }


@pytest.mark.parametrize(
    "possible", [{"region_size": 1}, {"repeats": 1}, {"random_orders": 1}, {"places": 0}, {"orders": ("lerf", "morf")}]
)
def test_the_least_possible_settings_are_taken(possible: dict[str, Any]) -> None:
    for name, value in possible.items():
        assert getattr(Protocol(**possible), name) == value


@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16"])
def test_known_dtypes_are_taken(dtype: Any) -> None:
    assert Protocol(dtype=dtype).dtype == dtype


def test_the_baseline_has_random_orders_only() -> None:
    protocol = Protocol(repeats=3, random_orders=7, orders=("morf", "lerf"), places=2)
    assert protocol.orders_of("lrp-epsilon-100") == ("morf", "lerf")
    assert protocol.orders_of("random") == ("random",)
    assert protocol.trajectories("lrp-epsilon-100") == 3 * 2 * 2
    assert protocol.trajectories("random") == 9


def test_presets_say_where_they_were_published() -> None:
    assert "1509.06321" in PRESETS["samek2016"].source
    assert "TNNLS" in PRESETS["tnnls2017"].source
    assert PRESETS["samek2016"].conditions == ()


def test_a_removal_is_a_function_or_a_name_that_is_known() -> None:
    def own(image: Any, values: Any, stream: Any) -> Any:
        return image

    assert Protocol(removal=own).removal is own
    for name in (*REMOVALS, "mypackage.module:function"):
        assert Protocol(removal=name).removal == name
    with pytest.raises(aopc.InputError, match="did you mean 'blur'"):
        Protocol(removal="blurr")
    with pytest.raises(aopc.InputError, match="removal"):
        Protocol(removal=3)  # type: ignore[arg-type]
