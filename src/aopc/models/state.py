"""All that a function of the user's could leave other than before: in the network, in torch, and in the process."""

import copy
import os
import random
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as _all_modules
from torch.nn.parameter import is_lazy

from aopc.base.random import Stream

#: Where functions are that networks are made of, beside their own classes.
_NAMESPACES = (torch, torch.Tensor, nn.functional)
_CONTAINERS = (dict, OrderedDict, list, set)
#: Of a parameter: on its gradient, and on what accumulates it.
_GRADIENT_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_SWITCHES = (
    *((torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
    (torch.backends.mkldnn, "enabled"),
    *((sys, name) for name in ("stdout", "stderr")),
)


class NetworkState:
    """A model as it is now: its classes, attributes, layers and hooks, and copies of all its tensors.

    Attributes of a module are kept one level deep: its own lists and dictionaries too, not what these hold.
    """

    def __init__(self, model: nn.Module) -> None:
        named = [(f"layer {name}" if name else "the model", m) for name, m in model.named_modules()]
        self._modules = [(name, m, type(m), _attributes(m), m.training) for name, m in named]
        self._hooks_on_all = [
            (hooks, copy.copy(hooks))
            for name, hooks in vars(_all_modules).items()
            if name.startswith("_global_") and isinstance(hooks, dict)
        ]
        classes = {c for _, m in named for c in type(m).__mro__ if c is not object}
        spaces: list[Any] = [*_NAMESPACES, *classes]
        self._functions = [(space, _functions(space)) for space in spaces]
        parameters = dict(model.named_parameters())
        learned: dict[str, Tensor] = {f"the parameter {n}": p for n, p in parameters.items()}
        learned |= {f"the buffer {n}": b for n, b in model.named_buffers()}
        known = {id(tensor) for tensor in learned.values()}
        others = [t for _, m in named for t in vars(m).values() if isinstance(t, Tensor) and id(t) not in known]
        self._learned = [(name, t, t.detach().clone()) for name, t in learned.items() if _has_values(t)]
        self._others = [(t, t.detach().clone()) for t in others if _has_values(t)]
        self._parameters = [
            (p, p.requires_grad, p.grad, [dict(getattr(p, name, None) or {}) for name in _GRADIENT_HOOKS])
            for p in parameters.values()
        ]

    def without_gradients(self) -> None:
        """Lay the parameters' gradients aside until :meth:`restore`."""
        for parameter, *_ in self._parameters:
            parameter.grad = None

    def restore(self) -> list[str]:
        """Put everything back; returns what of the network itself had been changed.

        That is parameters, buffers, layers, functions and hooks. What a network may change whenever it runs, or is no
        part of its function (modes, gradients, other attributes), is put back without a word.
        """
        changed = [f"the function {name} of {space}" for name, space in self._restored_functions()]
        changed += ["a hook on all modules" for now, before in self._hooks_on_all if _restored(now, before)]
        for name, module, kind, attributes, training in self._modules:
            if type(module) is not kind:
                module.__class__ = kind
                changed.append(f"the class of {name}")
            changed += [f"{what} of {name}" for what in _restored_attributes(module, attributes)]
            if module.training != training:  # of a scripted module it is no attribute
                module.training = training
        changed += [name for name, tensor, value in self._learned if _restored_values(tensor, value)]
        for tensor, value in self._others:
            _restored_values(tensor, value)
        for parameter, requires_grad, grad, hooks in self._parameters:
            if parameter.requires_grad != requires_grad:  # one that is not made yet cannot be asked to
                parameter.requires_grad_(requires_grad)
            parameter.grad = grad
            for name, before in zip(_GRADIENT_HOOKS, hooks, strict=True):
                now = getattr(parameter, name, None) or {}
                for key in set(now) - set(before):
                    del now[key]
                    changed.append("a hook on a parameter")
        return list(dict.fromkeys(changed))

    def _restored_functions(self) -> Iterator[tuple[str, str]]:
        for space, before in self._functions:
            now = vars(space)
            for name in [k for k, function in before.items() if now.get(k) is not function]:
                setattr(space, name, before[name])
                yield name, space.__name__
            if isinstance(space, type) and issubclass(space, nn.Module):
                for name in [k for k in _functions(space) if k not in before]:
                    delattr(space, name)
                    yield name, space.__name__


def _functions(space: Any) -> dict[str, Any]:
    """Those that a network may be made of: not what makes and copies objects, which torch's compiler replaces."""
    return {
        name: value
        for name, value in vars(space).items()
        if callable(value) and (name == "__call__" or not name.startswith("__"))
    }


def _has_values(tensor: Tensor) -> bool:
    return not is_lazy(tensor) and not tensor.is_meta and tensor.layout == torch.strided


def _attributes(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Name → value, and a copy where that is a container."""
    return {k: (v, copy.copy(v) if type(v) in _CONTAINERS else None) for k, v in vars(module).items()}


def _restored_attributes(module: nn.Module, before: Mapping[str, tuple[Any, Any]]) -> list[str]:
    now, changed = vars(module), []
    for name in [k for k in now if k not in before]:
        if callable(now.pop(name)) and hasattr(type(module), name):
            changed.append(f"the function {name}")
    for name, (value, content) in before.items():
        was = now.get(name)
        if was is not value:
            now[name] = value
            if callable(value) and not isinstance(value, Tensor):
                changed.append(f"the function {name}")
        if content is None:
            continue
        if name in ("_parameters", "_buffers"):
            # Another tensor of the same value is the same network, as where a network renews a cache.
            if _differ(was, content):
                changed.append(f"the {name[1:]}")
        elif (name == "_modules" or "_hooks" in name) and not _same(was, content):
            changed.append("the layers" if name == "_modules" else "a hook")
        _restored(value, content)
    return changed


def _differ(now: Any, before: Mapping[str, Tensor | None]) -> bool:
    if not isinstance(now, Mapping) or list(now) != list(before):
        return True
    pairs = ((now[k], before[k]) for k in before if now[k] is not before[k])
    return any(a is None or b is None or not _equal(a, b) for a, b in pairs)


def _same(now: Any, before: Any) -> bool:
    if type(now) is not type(before) or len(now) != len(before):
        return False
    if isinstance(before, dict):
        return all(a == b and now[a] is before[b] for a, b in zip(now, before, strict=True))
    if isinstance(before, list):
        return all(a is b for a, b in zip(now, before, strict=True))
    return bool(now == before)


def _restored(now: Any, before: Any) -> bool:
    """Put a container's content back in place; whether it had changed."""
    if _same(now, before):
        return False
    now.clear()
    if isinstance(now, list):
        now.extend(before)
    else:
        now.update(before)
    return True


def _equal(a: Tensor, b: Tensor) -> bool:
    if (a.shape, a.dtype, a.device, a.layout) != (b.shape, b.dtype, b.device, b.layout):
        return False
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())


def _restored_values(tensor: Tensor, before: Tensor) -> bool:
    """Put a tensor's values back; whether they had changed."""
    now = tensor.detach()
    if _equal(now, before):
        return False
    if (now.shape, now.dtype, now.device) == (before.shape, before.dtype, before.device):
        tensor.data.copy_(before)
    else:
        tensor.data = before.clone()
    return True


@contextmanager
def settings_as_before() -> Iterator[None]:
    """With gradients enabled; afterwards the settings of torch, numpy and the process are what they were, whatever the
    context did to them.
    """
    with np.errstate(), _process_as_before(), _torch_as_before():
        yield


@contextmanager
def _process_as_before() -> Iterator[None]:
    folder, environment, path, filters = Path.cwd(), dict(os.environ), list(sys.path), list(warnings.filters)
    try:
        yield
    finally:
        os.chdir(folder)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        if sys.path != path:
            sys.path[:] = path
        if list(warnings.filters) != filters:
            warnings.resetwarnings()
            cast(list[Any], warnings.filters)[:] = filters


@contextmanager
def _torch_as_before() -> Iterator[None]:
    switches = [(owner, name, getattr(owner, name)) for owner, name in _SWITCHES]
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    deterministic = _deterministic()
    kinds = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    autocast = [(k, torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in kinds]
    cache, anomaly = torch.is_autocast_cache_enabled(), torch.is_anomaly_enabled()
    products = torch.get_float32_matmul_precision()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for owner, name, value in switches:
            if getattr(owner, name) != value:
                setattr(owner, name, value)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if _deterministic() != deterministic:
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        for kind, enabled, precision in autocast:
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, precision)
        if torch.get_float32_matmul_precision() != products:
            torch.set_float32_matmul_precision(products)
        torch.set_autocast_cache_enabled(cache)
        torch.autograd.set_detect_anomaly(anomaly)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


@contextmanager
def random_numbers(*key: str, seed: int | None = None) -> Iterator[None]:
    """torch, numpy and Python draw what belongs to the seed (None: torch's) and the ``key``; afterwards they go on as
    before.

    So what a function of the user's draws does not depend on what ran before it, nor on a restart.
    """
    start = torch.initial_seed() if seed is None else seed
    seed = int(Stream(start, "explainer", *key).uniform((1,))[0] * 2**24)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 (what explainers draw from)
        stack.enter_context(torch.random.fork_rng(devices=devices))
        # Without a GPU this is all that torch.manual_seed does, in a hundredth of its time.
        (torch if torch.cuda.is_available() else torch.default_generator).manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield
