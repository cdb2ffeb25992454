"""What users write in sections of settings: wrong names and types end in one line each."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aopc.base.checked import checked, validated
from aopc.base.errors import InputError


@dataclass(frozen=True)
class Example:
    count: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    points: tuple[int, ...] = ()
    name: str | None = None


def test_good_settings_arrive() -> None:
    found = checked(Example, "x", {"count": 3, "rate": 1, "points": [1, 2]}, name="n")
    assert found == Example(3, 1, "a", (1, 2), "n")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": "3"}, "x.count must be an integer; got '3'"),
        ({"count": 3.0}, "must be an integer"),
        ({"count": True}, "must be an integer"),
        ({"count": 1, "rate": "5e-3"}, "x.rate must be a number"),
        ({"count": 1, "kind": "c"}, "must be 'a' or 'b'"),
        ({"count": 1, "points": [1, "2"]}, "a list, each of it an integer"),
        ({"count": 1, "points": 5}, "a list"),
        ({"cuont": 1}, "unknown setting 'cuont': did you mean 'count'"),
        ({}, "x lacks count"),
        ([1], "must be a section of settings"),
        (None, "must be a section of settings"),
        ({"count": 1, "name": "mine"}, "unknown setting 'name'"),
    ],
)
def test_bad_settings_are_said(values: Any, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        checked(Example, "x", values, name="n")

    def function(*, count: int, rate: float = 0.5, kind: Literal["a", "b"] = "a",
                 points: tuple[int, ...] = (), name: str = "") -> int:  # fmt: skip
        return count

    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        checked(function, "x", values, name="n")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["count", "rate", "kind", "points", "name", "x"]), ANYTHING))
def test_any_settings_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        found = checked(Example, "x", values)
    except InputError:
        return
    assert is_integer(found.count)
    assert isinstance(found.rate, float) or is_integer(found.rate)
    assert found.kind in ("a", "b")
    assert isinstance(found.points, tuple)
    assert all(is_integer(p) for p in found.points)
    assert found.name is None or isinstance(found.name, str)
    assert "x" not in values


def lines_of(values: Any, renamed: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InputError) as caught:
        checked(Example, "x", values, renamed)
    return str(caught.value).splitlines()


def test_all_mistakes_come_in_one_message_a_line_each() -> None:
    assert lines_of({"rate": "fast", "kind": "c", "points": [1, "2", 3.5]}) == [
        "x.rate must be a number; got 'fast'",
        "x.kind must be 'a' or 'b'; got 'c'",
        "x.points must be a list, each of it an integer; got '2'",
        "x.points must be a list, each of it an integer; got 3.5",
        "x lacks count",
    ]


def test_a_renamed_setting_is_refused_with_its_new_name() -> None:
    (line,) = lines_of({"count": 1, "speed": 2.0}, {"speed": "rate"})
    assert line == "x: the setting 'speed' is called 'rate' now"
    # The new name is the one to say even where another known name is spelt more alike.
    (line,) = lines_of({"count": 1, "names": "n"}, {"names": "kind"})
    assert "called 'kind' now" in line


def test_only_what_was_written_is_passed_on() -> None:
    """So the target's defaults stay its own business."""
    assert validated(Example, "x", {"count": 2}) == {"count": 2}


def test_a_target_that_takes_any_settings_gets_them() -> None:
    def function(*, count: int, **others: Any) -> dict[str, Any]:
        return {"count": count, **others}

    assert checked(function, "x", {"count": 1, "width": "w"}) == {"count": 1, "width": "w"}
    with pytest.raises(InputError, match=r"x\.count must be an integer"):
        checked(function, "x", {"count": "1", "width": "w"})
