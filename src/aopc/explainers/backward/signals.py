"""One mechanism for all backward passes: several sets of rules on one forward pass.

The gradient, deconvolution and each kind of LRP are a :class:`aopc.explainers.backward.rules.RuleSet`: what happens to
the backward signal where. Networks run forward once, watched by a recorder, and backward once for each set, whose
rules alone are in place.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.base.machine import is_out_of_memory
from aopc.explainers.backward.coverage import Graph
from aopc.explainers.backward.derivative import without_backward_hooks
from aopc.explainers.backward.double import in_double
from aopc.explainers.backward.recording import Recorder
from aopc.explainers.backward.rules import Plan, RuleSet
from aopc.models.inference import logits_of


@dataclass(frozen=True)
class Signal:
    """What arrives at the images.

    Attributes
    ----------
    values
        Of the shape and dtype of the images, (N, C, H, W).
    wide
        The same in float64; None where no image needs it.
    narrow
        (N,) bool, the images for which ``wide`` is meant.
    """

    values: Tensor
    wide: Tensor | None = None
    narrow: Tensor | None = None

    def heatmaps(self, over_channels: Callable[[Tensor], Tensor]) -> Tensor:
        """(N, H, W), by a function (N, C, H, W) → (N, H, W); float64 if an image needs it."""
        maps = over_channels(self.values)
        if self.wide is None or self.narrow is None:
            return maps
        return torch.where(self.narrow[:, None, None], over_channels(self.wide), maps.double())


class Signals:
    """The backward signals of a model by several rule sets.

    Parameters
    ----------
    model
        In evaluation mode; it is left as it was.
    sets
        By name.
    asked
        (K,) all classes that will be asked for, checked at the first call; None: those of each call alone.
    """

    def __init__(self, model: nn.Module, sets: Mapping[str, RuleSet], asked: Tensor | None = None) -> None:
        self._model, self._sets, self._asked = model, sets, asked

    def __call__(self, images: Tensor, targets: Tensor) -> dict[str, Signal]:
        """By rule set, for images (N, C, H, W) on the model's device.

        A signal starts at each image's target class, before the softmax; all other classes start with zero. Images
        whose signals come near the smallest numbers of their dtype are computed in float64. Hooks on the model's
        modules that act on gradients do not act on signals. InputError if a target is no output of the model, the
        model does not run with gradients, or a set does not cover it.
        """
        if not self._sets:
            return {}
        with without_backward_hooks(self._model):
            return self._of(images, targets)

    def _of(self, images: Tensor, targets: Tensor) -> dict[str, Signal]:
        asked, self._asked = self._asked, None
        found, narrow = _signals(self._model, images, targets, self._sets, asked)
        again = {name: self._sets[name] for name, rows in narrow.items() if bool(rows.any())}
        if images.dtype == torch.float64 or not again:
            return {name: Signal(values) for name, values in found.items()}
        wide = _in_double(self._model, images, targets, again)
        return {name: Signal(values, wide.get(name), narrow[name]) for name, values in found.items()}


def _signals(
    model: nn.Module, images: Tensor, targets: Tensor, sets: Mapping[str, RuleSet], asked: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By set: the signals, and for which images (N,) they lack precision."""
    with torch.inference_mode(False), torch.enable_grad(), _uncompiled():
        leaf = images.detach().clone().requires_grad_(True)
        inputs = leaf.clone()  # a network may begin by changing its input in place
        node, record = inputs.grad_fn, Recorder(model, inputs)
        assert node is not None
        with nullcontext() if all(rules.changes_nothing for rules in sets.values()) else record, _with_gradients():
            scores = logits_of(model, inputs)
        wanted = targets if asked is None else asked
        classes, lowest, highest = scores.shape[1], int(wanted.min()), int(wanted.max())
        if lowest < 0 or highest >= classes:
            raise InputError(
                f"targets must be classes from 0 to {classes - 1}, the model's outputs; got {lowest} to {highest}"
            )
        graph = Graph(scores.grad_fn, node, record)
        smallest = {name: Smallest(len(images), divides=rules.divides) for name, rules in sets.items()}
        plans = {name: Plan(graph, rules, smallest[name].see) for name, rules in sets.items()}
        explained = nn.functional.one_hot(targets, classes).bool()
        signals, narrow, last = {}, {}, list(sets)[-1]
        for name, rules in sets.items():
            first = scores.detach() if rules.starts_from_score else torch.ones_like(scores)
            # Not a product: a class that is ruled out may have the score −∞.
            start = torch.where(explained, first, 0)
            with plans[name].in_place(), _with_gradients():
                (signal,) = torch.autograd.grad(scores, leaf, start, retain_graph=name != last)
            signals[name] = signal.detach()
            smallest[name].see(signal)
            lacking = smallest[name].below_precision() | ~signal.flatten(1).isfinite().all(1)
            narrow[name] = lacking.to(start.device) & (start != 0).any(1)
    return signals, narrow


@contextmanager
def _with_gradients() -> Iterator[None]:
    """What fails only where gradients are on, as an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "modified by an inplace operation" in reason:
            raise InputError(
                "the network changes in place a value that its gradient needs: set inplace=False there"
            ) from error
        raise InputError(
            f"the network does not run with gradients, which backward explainers need: {reason}"
        ) from error


class Smallest:
    """The least of the largest values that each image's signal has at any place on its way, in units of what its
    dtype holds with full precision.

    Parameters
    ----------
    count
        Images.
    divides
        The signal is divided by the network's own values on its way. Then a signal of zeros counts: it may be one
        that was too small for its dtype.
    """

    def __init__(self, count: int, *, divides: bool) -> None:
        self._divides, self._value = divides, torch.full((count,), torch.inf, dtype=torch.float64)

    def see(self, signal: Tensor, *, values: bool = False) -> None:
        """A signal on its way, (N, …), or ``values`` of the network that it is divided by."""
        if signal.layout != torch.strided or signal.numel() == 0:
            return
        rows = len(self._value) if signal.ndim and len(signal) == len(self._value) else 1
        largest = torch.linalg.vector_norm(signal.detach().reshape(rows, -1), torch.inf, dim=1)
        if values or not self._divides:
            largest = torch.where(largest == 0, torch.inf, largest)
        kind = torch.finfo(signal.dtype)
        # What is lost below the normal range is small beside the largest value, unless it is divided by small ones.
        limit = kind.tiny / kind.eps**2 if self._divides else kind.tiny
        self._value = torch.minimum(self._value.to(signal.device), largest.double() / limit)

    def below_precision(self) -> Tensor:
        """(N,) bool: whether products and quotients of parts of the signal may leave the dtype's normal range, or are
        no longer numbers.
        """
        return ~(self._value >= 1)


def _in_double(model: nn.Module, images: Tensor, targets: Tensor, sets: Mapping[str, RuleSet]) -> dict[str, Tensor]:
    """The signals of a network computed in float64."""
    try:
        return _signals(in_double(model), images.double(), targets, sets)[0]
    except InputError as error:
        raise InputError(
            "relevance or a gradient becomes too small for the network's number format, and the network does not run in"
            f" float64 ({error}): make its constants buffers or parameters"
        ) from error


def _uncompiled() -> AbstractContextManager[object]:
    """Compiled modules run as they were written: compiled code is not seen call by call."""
    compiler_in_use = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if compiler_in_use else nullcontext()
