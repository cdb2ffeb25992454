"""Settings that users write, checked against what takes them: names, and types of values."""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, create_model

from aopc.base.errors import InputError
from aopc.base.names import nearest

T = TypeVar("T")

_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


def checked(
    target: Callable[..., T],
    where: str,
    values: Any,
    renamed: Mapping[str, str] | None = None,
    /,
    **added: Any,
) -> T:
    """Call a function, or make a dataclass, with a section of settings and what the program adds.

    Parameters and errors as of :func:`validated`, and those of the target.
    """
    return target(**added, **validated(target, where, values, renamed, *added))


def validated(
    target: Callable[..., Any],
    where: str,
    values: Any,
    renamed: Mapping[str, str] | None = None,
    *added: str,
) -> dict[str, Any]:
    """A section of settings as the arguments of what takes them.

    Parameters
    ----------
    target
        What takes the settings; its annotations say of what types they are. An integer is a number too.
    where
        The section's place, for messages.
    values
        What the user wrote.
    renamed
        Former names of settings → their names.
    added
        Parameters that the program sets; the user may not.

    Raises
    ------
    InputError
        With a line for each setting that is missing, not known, or of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be a section of settings; got {values!r}")
    model = _model(target, frozenset(added))
    try:
        found = model.model_validate({str(name): value for name, value in values.items()})
    except ValidationError as error:
        known, former = model.model_fields, renamed or {}
        lines = [_said(problem, where, model, former) for problem in error.errors()]
        missing = [str(p["loc"][0]) for p in error.errors() if p["type"] == "missing"]
        lines = [line for line in lines if line]
        if missing and set(values) <= set(known):  # otherwise one of them is spelt wrong
            lines.append(f"{where} lacks {', '.join(missing)}")
        raise InputError("\n".join(dict.fromkeys(lines))) from error
    given = {name: getattr(found, name) for name in values if name in model.model_fields}
    return given | (found.model_extra or {})


@lru_cache(maxsize=64)
def _model(target: Callable[..., Any], added: frozenset[str]) -> type[BaseModel]:
    """A model of the parameters that users set."""
    hints = get_type_hints(target.__init__ if is_dataclass(target) else target)
    fields: dict[str, Any] = {}
    config = _STRICT
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            config = ConfigDict(strict=True, extra="allow", arbitrary_types_allowed=True)
        elif name not in added:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (_lenient(hints.get(name, Any)), default)
    return create_model("Settings", __config__=config, **fields)


def _lenient(hint: Any) -> Any:
    """YAML's lists stand for tuples."""
    return Annotated[hint, Strict(False)] if get_origin(hint) is tuple else hint


def _said(problem: Any, where: str, model: type[BaseModel], renamed: Mapping[str, str]) -> str:
    name, *_ = (str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return ""
    if problem["type"] == "extra_forbidden":
        if name in renamed:
            return f"{where}: the setting {name!r} is called {renamed[name]!r} now"
        return f"{where}: unknown setting {name!r}: {nearest(name, model.model_fields)}"
    expected = words(model.model_fields[name].annotation)
    return f"{where}.{name} must be {expected}; got {problem['input']!r}"


def words(hint: Any) -> str:
    """What a type is called in messages.

    Examples
    --------
    >>> words(int | None), words(tuple[float, ...])
    ('an integer or null', 'a list, each of it a number')
    """
    if get_origin(hint) is Annotated:
        return words(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(words(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (tuple, list):
        return f"a list, each of it {words(get_args(hint)[0])}"
    if get_origin(hint) is not None:
        return "a section of settings"
    names = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    return "null" if hint in (None, type(None)) else names.get(hint, "another value")
