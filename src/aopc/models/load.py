"""Every way in: networks from files that others wrote, by one function."""

from pathlib import Path

import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.base.provenance import file_hash
from aopc.models.caffe.weights import caffe_preprocessing, load_caffe_network
from aopc.models.network import Layout, Network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.zoo.torchvision_models import torchvision_network


def load_network(
    architecture: str, weights: Path, preprocessing: str | None = None, class_names: tuple[str, ...] | None = None
) -> tuple[Network, Layout]:
    """A network with weights from a file, in evaluation mode, on the CPU, and how it is built.

    Parameters
    ----------
    architecture
        As torchvision.models calls it; for a ``.caffemodel`` one of Caffe's networks.
    weights
        A file that ``torch.save`` wrote of the model's ``state_dict()``, which is read with ``weights_only=True``, so
        it cannot run code; or a ``.caffemodel``. The number of classes is read from it.
    preprocessing
        A key of :data:`PREPROCESSINGS`; "caffe" builds torchvision's networks as Caffe defines them. None: what
        belongs to the weights.
    class_names
        In the order of the outputs.

    Raises
    ------
    InputError
        If the architecture or the preprocessing is not known, or the file cannot be read or does not fit.
    """
    if weights.suffix == ".caffemodel":
        if preprocessing not in (None, "caffe"):
            raise InputError("a .caffemodel takes --preprocessing caffe, or none")
        chosen = resolve("preprocessing", PREPROCESSINGS, caffe_preprocessing(architecture))
        model = load_caffe_network(architecture, weights)
        layout = Layout(architecture, _classes(model.state_dict()))
    else:
        chosen = resolve("preprocessing", PREPROCESSINGS, preprocessing or "imagenet", of=Preprocessing)
        caffe = preprocessing == "caffe"
        model = load_torchvision_model(architecture, weights, caffe=caffe)
        layout = Layout("torchvision", _classes(model.state_dict()), {"name": architecture, "caffe": caffe})
    origin = {"model": architecture, "weights": file_hash(weights)}
    return Network(model, chosen, class_names, origin), layout


def _classes(state: dict[str, Tensor]) -> int:
    return len(next(reversed(state.values())))


def load_torchvision_model(name: str, weights: Path, *, caffe: bool = False) -> nn.Module:
    """The architecture ``name`` of torchvision with the state dict in ``weights``; all as of :func:`load_network`.

    ``caffe``: the weights come from Caffe, so build the network as Caffe defines it (:data:`CAFFE_PADDING`).
    """
    torchvision_network(classes=1, name=name)  # an unknown name should not wait for the file
    state = _read_state_dict(weights)
    model = torchvision_network(classes=_classes(state), name=name, caffe=caffe)
    _load(model, state, name, weights)
    return model.eval()


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
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"the weights file {path} holds no state dict: save model.state_dict(), not the model or a training"
            " checkpoint"
        )
    if next(reversed(state.values())).ndim == 0:
        raise InputError(f"the weights file {path} does not end with a classifier's parameters")
    return state


def _load(model: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    own = model.state_dict()
    found = {
        "missing": [key for key in own if key not in state],
        "not in it": [key for key in state if key not in own],
        "of other shape": [key for key in own if key in state and own[key].shape != state[key].shape],
    }
    problems = [f"{len(keys)} {what} (such as {keys[0]})" for what, keys in found.items() if keys]
    if problems:
        raise InputError(
            f"the weights {path} do not fit the architecture {name}: of its {len(own)} entries {', '.join(problems)};"
            " check --model"
        )
    model.load_state_dict(state)
