"""Settings that users write, checked against what takes them: names, and types of values."""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aopc.errors import InputError
from aopc.registry import nearest

T = TypeVar("T")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML is of an annotated type; an integer is a number too.

    Examples
    --------
    >>> fits(3, int | None), fits("3", int), fits(3, float), fits(True, int)
    (True, False, True, False)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if origin is tuple:
        items = isinstance(value, list | tuple)
        return items and all(fits(item, arguments[0]) for item in value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping | dict):
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def typed(value: Any, hint: Any, where: str) -> Any:
    """The value, if it is of the type.

    Raises
    ------
    InputError
        If it is not.
    """
    if not fits(value, hint):
        raise InputError(f"{where} must be {_words(hint)}; got {value!r}")
    return value


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"a list, each of it {_words(get_args(hint)[0])}"
    if get_origin(hint) is not None:
        return "a section of settings"
    names = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    return "null" if hint in (None, type(None)) else names.get(hint, str(hint))


def checked(settings: type[T], where: str, values: Any, **added: Any) -> T:
    """A section of settings as the dataclass that takes them.

    Parameters
    ----------
    settings
        The dataclass.
    where
        The section's place, for messages.
    values
        What the user wrote.
    added
        Fields that the program sets.

    Raises
    ------
    InputError
        If a setting is missing, not known, or of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be a section of settings; got {values!r}")
    known = {f.name: f for f in fields(settings) if f.name not in added}  # type: ignore[arg-type]
    hints = get_type_hints(settings)
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{where}: unknown setting {name!r}: {nearest(str(name), known)}")
        typed(value, hints[name], f"{where}.{name}")
    optional = {
        n for n, f in known.items() if f.default is not MISSING or f.default_factory is not MISSING
    }
    missing = [name for name in known if name not in values and name not in optional]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}")
    given = {n: tuple(v) if get_origin(hints[n]) is tuple else v for n, v in values.items()}
    return settings(**given, **added)


def call(function: Callable[..., T], where: str, values: Any, /, **added: Any) -> T:
    """Call a function with a section of settings, and with what the program adds.

    Raises
    ------
    InputError
        If it takes no setting of such a name, needs one more, or one is of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be a section of settings; got {values!r}")
    parameters = inspect.signature(function).parameters
    known = [name for name in parameters if name not in added]
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    hints = get_type_hints(function)
    for name, value in values.items():
        if name in added or (name not in known and not anything):
            raise InputError(f"{where}: unknown setting {name!r}: {nearest(str(name), known)}")
        typed(value, hints.get(name, Any), f"{where}.{name}")
    try:
        inspect.signature(function).bind(**added, **values)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error
    return function(**added, **values)
