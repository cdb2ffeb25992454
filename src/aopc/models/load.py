"""Every way in: networks from files that others wrote, by one function."""

import math
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from aopc.base.errors import InputError, warned
from aopc.base.names import nearest, resolve
from aopc.base.provenance import file_hash
from aopc.models.caffe.weights import caffe_preprocessing, load_caffe_network
from aopc.models.network import Layout, Network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.tensors import load_tensors, require_tensors
from aopc.models.zoo.torchvision_models import (
    AUXILIARY,
    check_architecture,
    published_as,
    torchvision_network,
    torchvision_preprocessings,
)

#: Names in DenseNet's published files, which torch does not allow any more: ``norm.1`` is ``norm1``.
_OLD_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


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
        "caffe" builds torchvision's networks as Caffe defines them. None or "imagenet": what torchvision does for the
        architecture's published weights: those that the file is, by its checksum, otherwise the first,
        ``IMAGENET1K_V1`` for most. One of their names (``IMAGENET1K_V2``): what it does for these. Other keys of
        :data:`PREPROCESSINGS`: that.
    class_names
        In the order of the outputs.

    Raises
    ------
    InputError
        If the architecture or the preprocessing is not known, or the file cannot be read or does not fit.

    Warns
    -----
    ResultWarning
        If the file is none of the published ones, and these differ in their preprocessing.
    """
    origin = {"model": architecture}
    if weights.suffix == ".caffemodel":
        if preprocessing not in (None, "caffe"):
            raise InputError("a .caffemodel takes --preprocessing caffe, or none")
        chosen = resolve("preprocessing", PREPROCESSINGS, caffe_preprocessing(architecture))
        model = load_caffe_network(architecture, weights)
        layout = Layout(architecture, _classes(model.state_dict()))
    else:
        check_preprocessing(architecture, preprocessing)
        caffe = preprocessing == "caffe"
        model = load_torchvision_model(architecture, weights, caffe=caffe)
        name, chosen = _preprocessing(architecture, weights, preprocessing)
        origin |= {"preprocessed as": name}
        # What it does is in the preprocessing.
        if hasattr(model, "transform_input"):
            model.transform_input = False  # type: ignore[assignment]
        settings = {"name": architecture, "caffe": caffe}
        if hasattr(model, "image_size"):
            settings["image_size"] = model.image_size
        layout = Layout("torchvision", _classes(model.state_dict()), settings)
    return Network(model, chosen, class_names, origin | {"weights": file_hash(weights)}), layout


def check_preprocessing(architecture: str, preprocessing: str | None) -> None:
    """Whether one of torchvision's architectures has such a preprocessing.

    Raises
    ------
    InputError
        If it, or the architecture, is not known.
    """
    check_architecture(architecture)
    known = [*PREPROCESSINGS, *torchvision_preprocessings(architecture)]
    if preprocessing is not None and preprocessing not in known:
        raise InputError(f"unknown preprocessing {preprocessing!r}: {nearest(preprocessing, known)}")


def _preprocessing(architecture: str, weights: Path, name: str | None) -> tuple[str, Preprocessing]:
    """The preprocessing called ``name``, or that which belongs to the weights; and what to call it in results."""
    published = torchvision_preprocessings(architecture)
    if name in published:
        return f"{architecture} {name}", published[name]
    if name not in (None, "imagenet"):
        return str(name), PREPROCESSINGS[str(name)]
    found = published_as(architecture, weights)
    taken = found or next(iter(published))
    others = [n for n, p in published.items() if p != published[taken]]
    if found is None and others:
        warned(
            f"the weights {weights.name} are none of torchvision's, so images are prepared as for its"
            f" {taken} of {architecture} ({_said(published[taken])}); if yours were trained as others, say so:"
            + "".join(f" --preprocessing {n} ({_said(published[n])})" for n in others)
        )
    return f"{architecture} {taken}", published[taken]


def _said(preprocessing: Preprocessing) -> str:
    return f"{preprocessing.resize} → {preprocessing.crop} {preprocessing.interpolation}"


def _classes(state: dict[str, Tensor]) -> int:
    """The length of the last parameter."""
    return len(next(value for value in reversed(state.values()) if value.ndim))


def load_torchvision_model(name: str, weights: Path, *, caffe: bool = False) -> nn.Module:
    """The architecture ``name`` of torchvision with the state dict in ``weights``; all as of :func:`load_network`.

    It takes inputs as torchvision's own for these weights does: GoogLeNet and Inception those normalised as for other
    networks, which they convert (``transform_input``). ``caffe``: the weights come from Caffe, so build the network
    as Caffe defines it (:data:`CAFFE_PADDING`).
    """
    check_architecture(name)  # an unknown name should not wait for the file
    state = _read_state_dict(weights)
    with torch.device("meta"):
        one = torchvision_network(classes=1, name=name)
    own = one.state_dict()
    # What depends on the number of classes is what has another size for one class.
    sizes = {len(state[k]) for k, v in own.items() if k in state and v.ndim and len(v) == 1 != len(state[k])}
    classes = sizes.pop() if len(sizes) == 1 else _classes(state)
    model = torchvision_network(classes=classes, name=name, caffe=caffe, image_size=_image_size(one, state))
    if hasattr(model, "transform_input"):
        model.transform_input = not caffe  # type: ignore[assignment]
    _load(model, state, name, weights)
    return model.eval()


def _image_size(model: nn.Module, state: dict[str, Tensor]) -> int | None:
    """Of a vision transformer, by its number of positions."""
    positions, patch = state.get("encoder.pos_embedding"), getattr(model, "patch_size", None)
    if positions is None or patch is None or positions.ndim != 3:
        return None
    return math.isqrt(positions.shape[1] - 1) * int(patch)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"there is no weights file {path}")
    try:
        state = load_tensors(path, path)
    except (InputError, MemoryError):
        raise
    # On bytes that are no archive the unpickler fails in whatever way it happens to.
    except Exception as error:
        raise InputError(
            f"cannot read the weights file {path}: it must be a state dict written by torch.save"
            f" ({(str(error).splitlines() or [type(error).__name__])[0][:100]})"
        ) from error
    if not isinstance(state, dict) or not state:
        state = {None: state}  # which is none
    require_tensors(state, path, path)
    for key in list(state):
        value = state.pop(key)
        if not key.startswith(AUXILIARY):
            state[_OLD_DENSE_LAYER.sub(r"\1", key)] = value
    if not any(value.ndim for value in state.values()) or not _classes(state):
        raise InputError(f"the weights file {path} does not hold a classifier's parameters")
    return state


def _load(model: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    own = model.state_dict()
    # torch would cut numbers to integers, and complex ones to their real part, and say nothing.
    other = [key for key in own if key in state and own[key].is_floating_point() > state[key].is_floating_point()]
    if other:
        raise InputError(f"the weights {path} hold {other[0]} as {state[other[0]].dtype}: save it in floating point")
    try:
        # torch's own loading knows what files of older versions lack or name otherwise.
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        found = {
            "missing": [key for key in own if key not in state],
            "not in it": [key for key in state if key not in own],
            "of other shape": [key for key in own if key in state and own[key].shape != state[key].shape],
        }
        problems = [f"{len(keys)} {what} (such as {keys[0]})" for what, keys in found.items() if keys]
        raise InputError(
            f"the weights {path} do not fit the architecture {name}: of its {len(own)} entries"
            f" {', '.join(problems) or 'some cannot be read'}; check --model"
        ) from error
