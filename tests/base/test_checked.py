"""What users write in sections of settings: wrong names and types end in one line each."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aopc.base.checked import checked
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

    if "lacks" not in said:
        with pytest.raises(InputError, match=said.replace("(", r"\(")):
            checked(function, "x", values, name="n")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["count", "rate", "kind", "points", "name", "x"]), ANYTHING))
def test_any_settings_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        found = checked(Example, "x", values)
    except InputError:
        return
    assert fits(found.count, int)
    assert all(fits(p, int) for p in found.points)
