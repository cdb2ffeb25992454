"""How the weights of Caffe networks get into ours."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.models.caffe.caffemodel import CaffeLayer, read_caffemodel, read_layers, weights_of
from aopc.models.network import build

#: Layers that serve training only, by the start of their names.
_TRAINING_ONLY = ("loss1/", "loss2/")
#: Networks of :mod:`aopc.models.caffe.networks`: the layer that has a row for each class, and the preprocessing, a
#: key of :data:`PREPROCESSINGS`.
_NETWORKS = {
    "alexnet": ("fc8", "caffe"),
    "caffe-lenet": ("ip2", "caffe-lenet"),
    "caffenet": ("fc8", "caffe"),
    "googlenet": ("loss3/classifier", "caffe-224"),
}


def caffe_preprocessing(architecture: str) -> str:
    """The name of the preprocessing that one of Caffe's networks takes; an InputError if it is none of them."""
    if architecture not in _NETWORKS:
        raise InputError(f"{architecture!r} has no layout for a .caffemodel: {nearest(architecture, _NETWORKS)}")
    return _NETWORKS[architecture][1]


def load_caffe_network(architecture: str, path: Path) -> nn.Module:
    """A network with the weights of a ``.caffemodel`` file, with as many classes as it has; an InputError if it is
    not one of Caffe's, or the file does not fit it.
    """
    caffe_preprocessing(architecture)
    last = _NETWORKS[architecture][0]
    blobs = read_caffemodel(path).get(last)
    if blobs is None:
        raise InputError(f"{path} has no layer {last!r}, the last of {architecture}")
    # In older files an array has four dimensions, the first of them 1.
    if blobs[0].ndim < 2 or blobs[0].size == 0:
        raise InputError(f"{path} has no weights in its layer {last!r}: it is damaged")
    return load_caffe_weights(build(architecture, blobs[0].shape[-2], {}), path)


def fitting_architecture(path: Path, candidates: Sequence[str]) -> str:
    """Which of the architectures has its layers in the order that a ``.caffemodel`` file lists; an InputError if none
    has.
    """
    layers = list(read_layers(path))
    unfit: Exception = AssertionError("there is no candidate")
    for name in candidates:
        try:
            _check_order(layers, _modules(build(name, 1, {})), path)
            return name
        except InputError as error:
            unfit = error
    raise unfit


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    return {name.replace(".", "/"): m for name, m in model.named_modules() if name}


def load_caffe_weights(model: nn.Module, path: Path) -> nn.Module:
    """Put the weights of a ``.caffemodel`` file into a network of :mod:`aopc.models.caffe.networks`, and return it in
    evaluation mode.

    Raises
    ------
    InputError
        If the file lacks a layer, has one too many, or one of another shape; if its values are not finite; or if it
        lists pooling and normalisation in another order than the network has them, which weights alone would not
        show.
    """
    layers, modules = list(read_layers(path)), _modules(model)
    _check_order(layers, modules, path)
    blobs = weights_of(layers, path)
    learned = {n: m for n, m in modules.items() if isinstance(m, nn.Conv2d | nn.Linear)}
    missing = [name for name in learned if name not in blobs]
    surplus = [n for n in blobs if n not in learned and not n.startswith(_TRAINING_ONLY)]
    if missing or surplus:
        raise InputError(f"{path} is not of this network: it lacks {_some(missing)} and has {_some(surplus)}")
    with torch.no_grad():
        for name, module in learned.items():
            _fill(module, blobs[name], f"{path}: layer {name!r}")
    return model.eval()


def _fill(module: nn.Conv2d | nn.Linear, blobs: list[NDArray[np.floating]], where: str) -> None:
    parameters = list(module.parameters())
    if len(blobs) != len(parameters):
        raise InputError(f"{where} has {len(blobs)} arrays, but the network needs {len(parameters)}")
    for parameter, values in zip(parameters, blobs, strict=True):
        wanted = tuple(parameter.shape)
        # Caffe before 2015 wrote every array with four dimensions, the first of them 1.
        spare = values.ndim - len(wanted)
        if spare < 0 or values.shape[spare:] != wanted or any(d != 1 for d in values.shape[:spare]):
            raise InputError(f"{where} has the shape {values.shape}, but the network needs {wanted}")
        if not np.isfinite(values).all():
            raise InputError(f"{where} has weights that are NaN or infinite: the file is damaged")
        parameter.copy_(torch.from_numpy(values.reshape(wanted)))


def _check_order(layers: Iterable[CaffeLayer], names: Iterable[str], path: Path) -> None:
    order = {name: i for i, name in enumerate(names)}
    listed = [x.name for x in layers if x.type in ("Pooling", "LRN") and x.name in order]
    for before, after in zip(listed, sorted(listed, key=order.__getitem__), strict=True):
        if before != after:
            raise InputError(
                f"{path} has the layer {before!r} where the network has {after!r}: it is of another architecture"
                " (caffenet pools before it normalises, alexnet after)"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}" if names else "nothing"
