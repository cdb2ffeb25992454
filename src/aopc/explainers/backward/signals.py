"""One mechanism for all backward passes: rules by layer type, and several sets of them on one forward pass.

The gradient, deconvolution and each kind of LRP are a :class:`RuleSet`: what happens to the backward signal at which
layers. Networks run forward once with the hooks of all sets in place, and backward once for each set, whose hooks
alone are switched on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Composite, Hook

from aopc.base.errors import InputError
from aopc.models.inference import logits_of

Types = type | tuple[type, ...]


def _as_it_is(model: nn.Module, image: Tensor) -> nn.Module:
    return model


@dataclass(frozen=True)
class RuleSet:
    """How a signal goes backward through a network.

    Attributes
    ----------
    rules
        (types of layers, gives the hook), the first that fits counts; other layers pass the gradient.
    starts_from_score
        The signal starts at the target's score with the score's value (LRP and deconvolution), not with 1 (the
        gradient).
    prepare
        Is given the model and an image (1, C, H, W) before anything is applied; returns the model to use, and raises
        InputError where the rules do not cover it. It is called once for all sets that name the same function.
    """

    rules: Sequence[tuple[Types, Callable[[], Hook]]] = ()
    starts_from_score: bool = False
    prepare: Callable[[nn.Module, Tensor], nn.Module] = _as_it_is

    def hook(self, module: nn.Module) -> Hook | None:
        """For one layer."""
        return next((make() for types, make in self.rules if isinstance(module, types)), None)


class _Choice:
    """Which rule set is switched on."""

    name = ""


class _Switch(Hook):
    """The hooks of several rule sets on one layer."""

    def __init__(self, hooks: Mapping[str, Hook], choice: _Choice) -> None:
        super().__init__()
        self._hooks, self._choice = hooks, choice

    def forward(self, module: nn.Module, input: Any, output: Any) -> None:
        for hook in self._hooks.values():
            hook.forward(module, input, output)

    def backward(self, module: nn.Module, grad_input: Any, grad_output: Any) -> Any:
        hook = self._hooks.get(self._choice.name)
        return None if hook is None else hook.backward(module, grad_input, grad_output)

    def remove(self) -> None:
        super().remove()
        for hook in self._hooks.values():
            hook.remove()

    def copy(self) -> "_Switch":
        """Itself: there is one for each layer already."""
        return self


class Signals:
    """The backward signals of a model by several rule sets; InputError if one does not cover it.

    Parameters
    ----------
    model
        In evaluation mode; it is left as it was.
    image
        (1, C, H, W), on the model's device.
    sets
        By name. Those that want the same model share its forward pass.
    """

    def __init__(self, model: nn.Module, image: Tensor, sets: Mapping[str, RuleSet]) -> None:
        prepared: dict[Any, nn.Module] = {}
        self._by_model: dict[nn.Module, dict[str, RuleSet]] = {}
        for name, rules in sets.items():
            if rules.prepare not in prepared:
                prepared[rules.prepare] = rules.prepare(model, image)
            self._by_model.setdefault(prepared[rules.prepare], {})[name] = rules

    def __call__(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """By rule set, each of the shape and dtype of ``images`` (N, C, H, W).

        A signal starts at each image's target class, before the softmax; all other classes start with zero.
        InputError if a target is no output of the model.
        """
        found: dict[str, Tensor] = {}
        for model, sets in self._by_model.items():
            found |= _signals(model, images, targets, sets)
        return found


def _signals(model: nn.Module, images: Tensor, targets: Tensor, sets: Mapping[str, RuleSet]) -> dict[str, Tensor]:
    choice = _Choice()

    def switch(context: dict[str, Any], name: str, module: nn.Module) -> Hook | None:
        hooks = {n: made for n, rules in sets.items() if (made := rules.hook(module)) is not None}
        return _Switch(hooks, choice) if hooks else None

    composite = Composite(switch)
    try:
        composite.register(model)
        with torch.enable_grad():
            inputs = images.detach().clone().requires_grad_(True)
            scores = logits_of(model, inputs)
            classes, lowest, highest = scores.shape[1], int(targets.min()), int(targets.max())
            if lowest < 0 or highest >= classes:
                raise InputError(
                    f"targets must be classes from 0 to {classes - 1}, the model's outputs; got {lowest} to {highest}"
                )
            one = nn.functional.one_hot(targets, classes).to(scores)
            last, signals = list(sets)[-1], {}
            for name, rules in sets.items():
                choice.name = name
                start = one * scores.detach() if rules.starts_from_score else one
                (signal,) = torch.autograd.grad(scores, inputs, start, retain_graph=name != last)
                signals[name] = signal.detach()
    finally:
        composite.remove()
    return signals
