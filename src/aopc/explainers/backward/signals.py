"""One mechanism for all backward passes: several sets of rules on one forward pass.

The gradient, deconvolution and each kind of LRP are a :class:`aopc.explainers.backward.rules.RuleSet`: what happens to
the backward signal where. Networks run forward once, watched by a recorder, and backward once for each set, whose
rules alone are in place.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.explainers.backward.coverage import Graph
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
    """

    def __init__(self, model: nn.Module, sets: Mapping[str, RuleSet]) -> None:
        self._model, self._sets = model, sets

    def __call__(self, images: Tensor, targets: Tensor) -> dict[str, Signal]:
        """By rule set, for images (N, C, H, W) on the model's device.

        A signal starts at each image's target class, before the softmax; all other classes start with zero. Images
        whose signals come near the smallest numbers of their dtype are computed in float64. InputError if a target is
        no output of the model, or a set does not cover the model.
        """
        if not self._sets:
            return {}
        found, narrow = _signals(self._model, images, targets, self._sets)
        again = {name: self._sets[name] for name, rows in narrow.items() if bool(rows.any())}
        if images.dtype == torch.float64 or not again:
            return {name: Signal(values) for name, values in found.items()}
        wide = _in_double(self._model, images, targets, again)
        return {name: Signal(values, wide.get(name), narrow[name]) for name, values in found.items()}


def _signals(
    model: nn.Module, images: Tensor, targets: Tensor, sets: Mapping[str, RuleSet]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By set: the signals, and for which images (N,) they lack precision."""
    with torch.enable_grad(), _uncompiled():
        leaf = images.detach().clone().requires_grad_(True)
        inputs = leaf.clone()  # a network may begin by changing its input in place
        node, record = inputs.grad_fn, Recorder(model, inputs)
        assert node is not None
        with nullcontext() if all(rules.changes_nothing for rules in sets.values()) else record:
            scores = logits_of(model, inputs)
        classes, lowest, highest = scores.shape[1], int(targets.min()), int(targets.max())
        if lowest < 0 or highest >= classes:
            raise InputError(
                f"targets must be classes from 0 to {classes - 1}, the model's outputs; got {lowest} to {highest}"
            )
        graph = Graph(scores.grad_fn, node, record)
        smallest = {name: Smallest(len(images), zero=rules.divides) for name, rules in sets.items()}
        plans = {name: Plan(graph, rules, smallest[name].see) for name, rules in sets.items()}
        one = nn.functional.one_hot(targets, classes).to(scores)
        signals, narrow, last = {}, {}, list(sets)[-1]
        for name, rules in sets.items():
            start = one * scores.detach() if rules.starts_from_score else one
            with plans[name].in_place():
                try:
                    (signal,) = torch.autograd.grad(scores, leaf, start, retain_graph=name != last)
                except RuntimeError as error:
                    if "modified by an inplace operation" not in str(error):
                        raise
                    raise InputError(
                        "the network changes in place a value that its gradient needs: set inplace=False there"
                    ) from error
            signals[name] = signal.detach()
            smallest[name].see(signal)
            lacking = smallest[name].below_precision() | ~signal.flatten(1).isfinite().all(1)
            narrow[name] = lacking & (start != 0).any(1) & (not rules.changes_nothing)
    return signals, narrow


class Smallest:
    """The least of the largest values that each image's signal has at any place on its way.

    Parameters
    ----------
    count
        Images.
    zero
        A signal of zeros counts: it may be one that was too small for its dtype.
    """

    def __init__(self, count: int, *, zero: bool) -> None:
        self._zero, self._value = zero, torch.full((count,), torch.inf)

    def see(self, signal: Tensor, *, values: bool = False) -> None:
        """A signal on its way, (N, …), or ``values`` of the network that it is divided by."""
        largest = torch.linalg.vector_norm(signal.detach().flatten(1), torch.inf, dim=1)
        if len(largest) != len(self._value):  # images are no longer the first axis
            largest = largest.min()
        if values or not self._zero:
            largest = torch.where(largest == 0, torch.inf, largest)
        self._value = torch.minimum(self._value.to(largest), largest)

    def below_precision(self) -> Tensor:
        """(N,) bool: whether products and quotients of parts of the signal may leave the dtype's normal range, or are
        no longer numbers.
        """
        kind = torch.finfo(self._value.dtype)
        return ~(self._value >= kind.tiny / kind.eps**2)


def _in_double(model: nn.Module, images: Tensor, targets: Tensor, sets: Mapping[str, RuleSet]) -> dict[str, Tensor]:
    """The signals of a network computed in float64."""
    state = {
        name: t.double() for name, t in (*model.named_parameters(), *model.named_buffers()) if t.is_floating_point()
    }

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.func.functional_call(model, state, (x,))

    try:
        return _signals(Double(), images.double(), targets, sets)[0]
    except RuntimeError as error:
        raise InputError(
            "relevance becomes too small for the network's number format, and the network does not run in float64"
            f" ({str(error).splitlines()[0]}): make its constants buffers or parameters"
        ) from error


def _uncompiled() -> AbstractContextManager[object]:
    """Compiled modules run as they were written: compiled code is not seen call by call."""
    compiler_in_use = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if compiler_in_use else nullcontext()
