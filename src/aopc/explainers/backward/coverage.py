"""Which networks the rules of LRP and deconvolution can be applied to.

A rule applied to the wrong layer, or a step of the network that no rule sees, gives a wrong heatmap that looks right.
So networks that the rules do not cover are refused, with the reason.
"""

import operator
from collections import Counter

import torch
from torch import Tensor, fx, nn
from zennit.types import Activation, BatchNorm

from aopc.base.errors import InputError

UNMERGEABLE = (
    "LRP could not merge the batch normalisation of this model into its layers: they must be defined"
    " in the order in which they run"
)
_ADVICE = "use another network, or bring your own explainer"

#: Functions that relevance passes as the gradient does: they move values, or rectify them.
_HARMLESS = {
    torch.flatten, torch.reshape, torch.cat, torch.concat, torch.squeeze, torch.unsqueeze, torch.relu,
    nn.functional.relu, nn.functional.dropout, nn.functional.max_pool2d, torch.max_pool2d, operator.getitem, getattr,
}  # fmt: skip
_HARMLESS_METHODS = {
    "flatten", "view", "reshape", "size", "squeeze", "unsqueeze", "contiguous", "relu", "dim",
}  # fmt: skip


class _Tracer(fx.Tracer):
    """Follows the forward pass down to torch's layers and to blocks that zennit opens itself."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        from torchvision.models.resnet import BasicBlock, Bottleneck

        opened = isinstance(m, BasicBlock | Bottleneck | nn.LocalResponseNorm)
        return opened or super().is_leaf_module(m, module_qualified_name)


def require_known_layers(model: nn.Module, known: tuple[type, ...]) -> None:
    """InputError unless each layer is of a known type and runs once, with only harmless steps between layers.

    Networks whose forward pass cannot be traced are checked for their layers' types only.
    """
    for name, module in model.named_modules():
        if next(module.children(), None) is None and not isinstance(module, known):
            layer = f"{name or 'model'!r} of type {type(module).__name__}"
            raise InputError(f"LRP has no rule for the layer {layer}: {_ADVICE}")
        if isinstance(module, BatchNorm) and (module.weight is None or module.running_var is None):
            raise InputError(
                f"LRP cannot merge the batch normalisation {name!r}, which has no weights or no"
                f" running statistics, into the layer before it: {_ADVICE}"
            )
    try:
        graph = _Tracer().trace(model)
    except Exception:  # the forward pass branches on its data, and tracing stops in its own ways
        return
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    for name, count in calls.items():
        stateless = isinstance(model.get_submodule(name), Activation | nn.Dropout | nn.Identity)
        if count > 1 and not stateless:
            raise InputError(f"LRP needs a layer to run once, but {name!r} runs {count} times: {_ADVICE}")
    for node in graph.nodes:
        unknown = (node.op == "call_function" and node.target not in _HARMLESS) or (
            node.op == "call_method" and node.target not in _HARMLESS_METHODS
        )
        if unknown and not _is_arithmetic_on_sizes(node):
            raise InputError(f"LRP has no rule for the step {node.name!r} outside of the model's layers: {_ADVICE}")


def _is_arithmetic_on_sizes(node: fx.Node) -> bool:
    """Whether a step only computes with shapes, such as x.size(0) * 4."""
    sources = node.all_input_nodes
    return bool(sources) and all(s.target in ("size", "dim") or _is_arithmetic_on_sizes(s) for s in sources)


def all_merged(model: nn.Module) -> bool:
    """Whether each batch normalisation is the identity, as it is once it was merged."""
    return all(
        bool((m.running_var == 1).all() and (m.weight == 1).all() and (m.running_mean == 0).all())
        for m in model.modules()
        if isinstance(m, BatchNorm)
    )


def require_relu_modules(model: nn.Module, image: Tensor) -> None:
    """InputError unless each nonlinearity is a ReLU and a ``torch.nn.ReLU`` module: there is no other activation, and
    the autograd graph holds no more ReLUs than there were calls of ReLU modules.
    """
    for name, module in model.named_modules():
        if isinstance(module, Activation) and not isinstance(module, nn.ReLU):
            raise InputError(
                f"deconvolution is defined for ReLU, but the layer {name!r} is of type"
                f" {type(module).__name__}: {_ADVICE}"
            )
    calls: list[None] = []
    handles = [
        m.register_forward_hook(lambda *_: calls.append(None)) for m in model.modules() if isinstance(m, nn.ReLU)
    ]
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
    if rectifiers > len(calls):
        raise InputError(
            f"deconvolution needs torch.nn.ReLU modules, but {rectifiers - len(calls)} of the model's {rectifiers}"
            " ReLUs are function calls: replace torch.relu or functional.relu in its forward"
        )
