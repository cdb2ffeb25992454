"""What a model is made of, apart from the values of its weights, and copies of it to try things on."""

import copy
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

_T = TypeVar("_T")


def isolated(model: nn.Module) -> nn.Module:
    """A copy that shares the parameters, for passes that should leave no trace on what the model keeps (buffers,
    counters, records); the model itself where it cannot be copied.
    """
    shared = {id(p): p for p in model.parameters()}
    try:
        return copy.deepcopy(model, shared)
    except Exception:  # copying runs the user's own code, which may fail in any way
        return model


def structure_of(model: nn.Module) -> Hashable:
    """All that says which operators a forward pass runs: the modules, their settings, hooks and kinds of weights.

    It changes with whatever a forward pass keeps in the modules, such as a counter.
    """
    return tuple((name, _settings(vars(module)), id(type(module))) for name, module in model.named_modules())


def _settings(values: dict[str, Any]) -> Hashable:
    return tuple((name, _setting(value)) for name, value in values.items() if name != "_modules")


def _setting(value: Any) -> Hashable:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    if isinstance(value, dict):
        return tuple((str(key), _setting(v)) for key, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return type(value), len(value), tuple(map(_setting, value)) if len(value) < 20 else None
    if callable(value) and not isinstance(value, type | nn.Module):
        return id(getattr(value, "__func__", value))
    return id(type(value))


class Findings(Generic[_T]):
    """What was found out about models, each once as long as its structure is the same; they are not kept alive."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, dict[Hashable, _T]] = WeakKeyDictionary()

    def __call__(self, model: nn.Module, key: Hashable, find: Callable[[], _T]) -> _T:
        """What ``find`` gave the first time for this model and key. What it raises is raised each time."""
        try:
            known = self._known.setdefault(model, {})
        except TypeError:  # a model of the user's that is not hashable
            return find()
        key = (structure_of(model), key)
        if key not in known:
            known[key] = find()
        return known[key]
