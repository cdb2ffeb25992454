"""What an explainer is, and what counts as one."""

import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol

from aopc.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Explainer(Protocol):
    """``explain(model, images, targets) -> heatmaps``.

    Images (N, C, H, W) as the model takes them, targets (N,) int64, heatmaps (N, H, W): a tensor on any device or a
    numpy array, of real numbers (floating, integers, booleans), which become float32; a channel dimension of one,
    (N, 1, H, W), is dropped.

    It is given the model in evaluation mode and its own copies of images and targets, with gradients enabled, so
    ``images.requires_grad_()`` and ``backward()`` are fine. Modes, gradients, settings of torch and random states are
    put back behind it; one that leaves other parameters, buffers, layers, methods or hooks is refused. Random numbers
    of torch, numpy and Python start anew in each call, keyed by torch's seed and the batch's images.
    """

    def __call__(self, model: "nn.Module", images: "Tensor", targets: "Tensor") -> Any: ...


def name_of(explain: object) -> str:
    """What to call an explainer that came without a name."""
    if isinstance(explain, functools.partial):
        return name_of(explain.func)
    return getattr(explain, "__name__", None) or type(explain).__name__


def check_callable(name: str, explain: Any) -> None:
    """Whether something can be called as an explainer is, as far as can be known before.

    Raises
    ------
    InputError
        If it is a class, a generator, a coroutine or no function at all, or does not take three arguments.
    """
    wanted = "an explainer is a function explain(model, images, targets)"
    if inspect.isclass(explain):
        raise InputError(f"the explainer {name!r} is a class: {wanted}, or an instance that can be called so")
    if not callable(explain):
        raise InputError(f"the explainer {name!r} is of type {type(explain).__name__}: {wanted}")
    # A torch module says its arguments in forward only.
    function = getattr(explain, "forward", explain)
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    inner = function if plain else type(function).__call__
    if inspect.isgeneratorfunction(inner) or inspect.iscoroutinefunction(inner):
        raise InputError(f"the explainer {name!r} yields or awaits: {wanted} that returns the heatmaps")
    try:
        inspect.signature(function).bind(None, None, None)
    except ValueError as error:
        raise InputError(f"the explainer {name!r} does not say its arguments: {wanted}") from error
    except TypeError as error:
        raise InputError(f"the explainer {name!r} cannot take three arguments ({error}): {wanted}") from error
