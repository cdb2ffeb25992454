"""Settings that users write, checked against what takes them: names, and types of values."""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.base.text import shown

T = TypeVar("T")

#: What a setting may be, for annotations: 1, 2, …; 0, 1, …; a number above 0, or not below; a text that says something.
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Natural = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


def checked(
    target: Callable[..., T], where: str, values: Any, renamed: Mapping[str, str] | None = None, /, **added: Any
) -> T:
    """Call a function, or make a dataclass, with settings (:func:`validated`) and what the program adds."""
    return target(**added, **validated(target, where, values, renamed, *added))


def validated(
    target: Callable[..., Any], where: str, values: Any, renamed: Mapping[str, str] | None = None, *added: str
) -> dict[str, Any]:
    """A section of settings as the arguments of what takes them.

    Parameters
    ----------
    target
        What takes the settings; its annotations say of what types they are. An integer is a number too.
    where, values
        The section's place, for messages, and what the user wrote.
    renamed
        Former names of settings → their names.
    added
        Parameters that the program sets; the user may not.

    Raises
    ------
    InputError
        With a line for each setting that is missing, not known, of another type, or out of its bounds.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be a section of settings; got {shown(values)}")
    try:
        model = _model(target, frozenset(added))
    # Of a user's own function, which may be written in any way.
    except (AttributeError, NameError, TypeError, ValueError) as error:
        raise InputError(f"{where}: cannot tell which settings it takes ({error})") from error
    try:
        found = model.model_validate({str(name): value for name, value in values.items()})
    except ValidationError as error:
        missing = [str(p["loc"][0]) for p in error.errors() if p["type"] == "missing"]
        others = [p for p in error.errors() if p["type"] != "missing"]
        lines = [_said(problem, where, model, renamed or {}) for problem in others]
        if missing and set(values) <= set(model.model_fields):  # otherwise one of them is spelt wrong
            lines.append(f"{where} lacks {', '.join(missing)}")
        raise InputError(*dict.fromkeys(lines)) from error
    given = {name: getattr(found, name) for name in values if name in model.model_fields}
    return given | (found.model_extra or {})


@lru_cache(maxsize=64)
def _model(target: Callable[..., Any], added: frozenset[str]) -> type[BaseModel]:
    """A model of the parameters that users set."""
    hints = get_type_hints(target.__init__ if is_dataclass(target) else target, include_extras=True)
    fields: dict[str, Any] = {}
    extra: Literal["allow", "forbid"] = "forbid"
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            extra = "allow"
        elif name not in added:
            hint = hints.get(name, Any)
            if get_origin(hint) is tuple:  # YAML's lists stand for tuples
                hint = Annotated[hint, Strict(False)]
            fields[name] = (hint, ... if parameter.default is inspect.Parameter.empty else parameter.default)
    config = ConfigDict(strict=True, extra=extra, arbitrary_types_allowed=True, allow_inf_nan=False)
    return create_model("Settings", __config__=config, **fields)


def _said(problem: Any, where: str, model: type[BaseModel], renamed: Mapping[str, str]) -> str:
    (name, *inside), fields = problem["loc"], model.model_fields
    if inside[-1:] == ["[key]"]:
        return f"{where}.{name}: the name {shown(problem['input'])} must be a text: put it into quotes"
    if problem["type"] != "extra_forbidden":
        what, bounds = words(fields[name].annotation), problem.get("ctx", {})
        wanted = _BOUNDS.get(problem["type"], "{words}").format(words=what, **bounds)
        return f"{where}.{name} must be {wanted}; got {shown(problem['input'])}"
    if name in renamed:
        return f"{where}: the setting {name!r} is called {renamed[name]!r} now"
    return f"{where}: unknown setting {shown(name)}: {nearest(name, fields)}"


#: pydantic's name of a bound → what it asks for.
_BOUNDS = {
    "greater_than": "{words} above {gt:g}",
    "greater_than_equal": "{words} of {ge} or more",
    "less_than_equal": "{words} of {le} or less",
    "string_too_short": "{words} that is not empty",
}


def words(hint: Any) -> str:
    """What a type is called in messages.

    Examples
    --------
    >>> words(int | None), words(tuple[float, ...])
    ('an integer or null', 'a list, each of it a number')
    """
    origin, options = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return words(options[0])
    if origin in (Union, types.UnionType):
        return " or ".join(map(words, options))
    if origin is Literal:
        return " or ".join(map(repr, options))
    if origin in (tuple, list):
        return f"a list, each of it {words(options[0])}"
    if origin is not None:
        return "a section of settings"
    names = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    return "null" if hint in (None, type(None)) else names.get(hint, "another value")
