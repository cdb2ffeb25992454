"""torchvision's architectures with weights from a file."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from aopc.errors import InputError
from aopc.registry import nearest


def _pad_final_convolution(model: nn.Module) -> None:
    # Caffe's SqueezeNet v1.0 has pad: 1 in conv10, torchvision's has none; weights do not show it.
    convolution = model.get_submodule("classifier.1")
    assert isinstance(convolution, nn.Conv2d)
    convolution.padding = (1, 1)


#: Where Caffe's definition of a network differs from torchvision's in what weights do not show.
CAFFE_LAYOUT: dict[str, Callable[[nn.Module], None]] = {"squeezenet1_0": _pad_final_convolution}


def load_torchvision_model(name: str, weights: Path, *, caffe: bool = False) -> nn.Module:
    """The architecture ``name`` with the state dict in ``weights``, in evaluation mode, on the CPU.

    Parameters
    ----------
    name
        As in ``torchvision.models.list_models()``; only classifiers make sense here.
    weights
        A file that ``torch.save`` wrote of the model's ``state_dict()``. It is read with
        ``weights_only=True``, so it cannot run code. The number of classes is read from it.
    caffe
        The weights come from Caffe: build the network as Caffe defines it (:data:`CAFFE_LAYOUT`).

    Raises
    ------
    InputError
        If the architecture is not known, or the file cannot be read or does not fit it.
    """
    torchvision_network(classes=1, name=name)  # an unknown name should not wait for the file
    state = _read_state_dict(weights)
    model = torchvision_network(classes=len(next(reversed(state.values()))), name=name, caffe=caffe)
    _load(model, state, name, weights)
    return model.eval()


def torchvision_network(*, classes: int, name: str, caffe: bool = False) -> nn.Module:
    """The architecture alone, as ``torchvision`` in :data:`aopc.models.ARCHITECTURES`.

    Parameters and errors as of :func:`load_torchvision_model`.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"unknown architecture {name!r}: {nearest(name, known)}")
    model = models.get_model(name, weights=None, num_classes=classes)
    if caffe and name in CAFFE_LAYOUT:
        CAFFE_LAYOUT[name](model)
    return model


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"there is no weights file {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # On bytes that are no archive the unpickler fails in whatever way it happens to.
    except Exception as error:
        raise InputError(
            f"cannot read the weights file {path}: it must be a state dict written by torch.save"
            f" ({(str(error).splitlines() or [type(error).__name__])[0][:100]})"
        ) from error
    tensors = isinstance(state, dict) and all(isinstance(v, Tensor) for v in state.values())
    if not tensors or not state:
        raise InputError(
            f"the weights file {path} holds no state dict: save model.state_dict(), not the model"
            " or a training checkpoint"
        )
    if next(reversed(state.values())).ndim == 0:
        raise InputError(f"the weights file {path} does not end with a classifier's parameters")
    return state


def _load(model: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    surplus = [key for key in state if key not in own]
    other = [key for key in own if key in state and own[key].shape != state[key].shape]
    problems = [
        f"{len(keys)} {what} (such as {keys[0]})"
        for what, keys in (("missing", missing), ("not in it", surplus), ("of other shape", other))
        if keys
    ]
    if problems:
        raise InputError(
            f"the weights {path} do not fit the architecture {name}: of its {len(own)} entries"
            f" {', '.join(problems)}; check --model"
        )
    model.load_state_dict(state)
