"""Arguments of public functions, checked in one place: each function says what it takes, and this says what was wrong."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import InputError
from aopc.base.text import shown


def as_integer(name: str, value: Any, least: int | None = None, most: int = 2**31 - 1) -> int:
    """An integer of Python, numpy or torch as one of Python's; InputError if it is none (a truth value is none), or not from
    ``least`` (None: any) to ``most``.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer; got {shown(value)}") from None
    if least is not None and not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise InputError(f"{name} must be {bound}; got {shown(number)}")
    return number


def require_flag(name: str, value: Any) -> None:
    """Raise InputError unless it is true or false."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} must be True or False; got {shown(value)}")


def require_instance(name: str, value: Any, kind: type | tuple[type, ...], said: str) -> None:
    """Raise InputError unless it is of the kind, which ``said`` is the name of."""
    if not isinstance(value, kind):
        raise InputError(f"{name} must be {said}; got {shown(value)}")


def as_array(name: str, values: Any, axes: str = "", *, kinds: str = "biuf") -> NDArray[Any]:
    """An array or a tensor of any library, or lists of numbers, as an array; itself where it is one.

    Parameters
    ----------
    name, values
        What the argument is called, and what was given.
    axes
        What the axes are, with commas between them, as in "images, height, width"; none may be empty. "": any.
    kinds
        Of dtypes, as numpy calls them: truth values (b), integers (i, u) and floating point (f).

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{name} must be an array without a mask: fill in what is masked first")
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
        found = np.asarray(values)
    # Of what kind the error is depends on whose values they are.
    except Exception as error:
        raise InputError(f"{name} must be an array of numbers; got {shown(values)}") from error
    wanted = axes.split(", ") if axes else []
    right = found.dtype.kind in kinds and (not wanted or (found.ndim == len(wanted) and found.size > 0))
    if not right:
        form = f" of shape ({axes})" if axes else ""
        what = {"i": "integers", "iu": "integers", "b": "truth values"}.get(kinds, "numbers")
        raise InputError(f"{name} must be {what}{form}; got {found.dtype} of shape {found.shape}")
    return found


def require_same_length(**lengths: Any) -> None:
    """Raise InputError unless all have one length."""
    found = {name: len(values) for name, values in lengths.items()}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{count} {name}" for name, count in found.items())
        raise InputError(f"there must be as many of each: got {said}")


def as_names(name: str, values: Any, count: int) -> tuple[str, ...]:
    """``count`` different names; None: 0, 1, … InputError if it is something else."""
    if values is None:
        return tuple(map(str, range(count)))
    try:
        found = tuple(map(str, values))
    except TypeError:
        raise InputError(f"{name} must be {count} different names; got {shown(values)}") from None
    if isinstance(values, bytes) or len(found) != count or len(set(found)) != count:
        got = shown(values) if isinstance(values, str | bytes) else f"{len(found)}, {len(set(found))} of them different"
        raise InputError(f"{name} must be {count} different names; got {got}")
    return found


def as_number(name: str, value: Any, least: float = -np.inf, most: float = np.inf) -> float:
    """A number of Python, numpy or torch from ``least`` to ``most`` as one of Python's; InputError if it is none."""
    try:
        if isinstance(value, bool | np.bool_ | str | bytes):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be a number; got {shown(value)}") from None
    if not least <= number <= most:
        raise InputError(f"{name} must be a number from {least:g} to {most:g}; got {number:g}")
    return number
