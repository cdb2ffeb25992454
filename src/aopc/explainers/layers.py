"""Which networks the rules of LRP and deconvolution can be applied to."""

import torch
from torch import Tensor, nn

from aopc.errors import InputError


def require_known_layers(model: nn.Module, known: tuple[type, ...]) -> None:
    """Every layer without children must be of a known type.

    Raises
    ------
    InputError
        With the layer's name and type: a rule applied to the wrong layer gives a wrong heatmap
        that looks right.
    """
    for name, module in model.named_modules():
        if next(module.children(), None) is None and not isinstance(module, known):
            raise InputError(
                f"LRP has no rule for the layer {name or 'model'!r} of type"
                f" {type(module).__name__}: use a network of convolutions, linear layers, ReLU,"
                " pooling, local response and batch normalisation, or bring your own explainer"
            )


def require_relu_modules(model: nn.Module, image: Tensor) -> None:
    """Every ReLU that the forward pass runs must be a ``torch.nn.ReLU`` module.

    Raises
    ------
    InputError
        If the autograd graph holds more ReLUs than there were calls of ReLU modules.
    """
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.ReLU)]
    try:
        with torch.enable_grad():
            output = model(image.detach().clone().requires_grad_(True))
    finally:
        for handle in handles:
            handle.remove()
    seen, queue = set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is not None and node not in seen:
            seen.add(node)
            queue.extend(parent for parent, _ in node.next_functions)
    rectifiers = sum("ReluBackward" in type(node).__name__ for node in seen)
    if rectifiers > calls:
        raise InputError(
            f"deconvolution needs torch.nn.ReLU modules, but {rectifiers - calls} of the model's"
            f" {rectifiers} ReLUs are function calls: replace torch.relu or functional.relu in its forward"
        )
