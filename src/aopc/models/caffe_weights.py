"""Published weights of Caffe networks, and how they get into ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aopc.downloads.source import Source
from aopc.errors import InputError
from aopc.models import ARCHITECTURES
from aopc.models.caffemodel import CaffeLayer, read_caffemodel, read_layers, weights_of
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.registry import nearest


@dataclass(frozen=True)
class CaffeWeights:
    """Attributes
    ----------
    architectures
        Keys of :data:`aopc.models.ARCHITECTURES` that take these weights; the file's own list of
        layers decides between them, and the first is meant where it lists none.
    classes
        Outputs.
    source
        The file, or an archive with it.
    preprocessing
        What the network expects.
    accuracy
        Published top-1 accuracy on the validation set of its data, centre crop only.
    member, mean
        Where ``source`` is an archive: the names of the weights and of the mean image in it.
    """

    architectures: tuple[str, ...]
    classes: int
    source: Source
    preprocessing: Preprocessing
    accuracy: float
    member: str | None = None
    mean: str | None = None


#: Name → weights. Checksums are those that the publishers give.
CAFFE_WEIGHTS: dict[str, CaffeWeights] = {
    "bvlc-caffenet": CaffeWeights(
        architectures=("caffenet",),
        classes=1000,
        source=Source(
            name="bvlc_reference_caffenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_reference_caffenet",
            licence="unrestricted use",
            urls=("http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",),
            checksum="sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
            about=244_000_000,
        ),
        preprocessing=PREPROCESSINGS["caffe"],
        accuracy=0.574,
    ),
    "bvlc-googlenet": CaffeWeights(
        architectures=("googlenet",),
        classes=1000,
        source=Source(
            name="bvlc_googlenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet",
            licence="unrestricted use",
            urls=("http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",),
            size=53_533_754,
            checksum="sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
        ),
        preprocessing=PREPROCESSINGS["caffe-224"],
        accuracy=0.687,
    ),
    # Often called AlexNet, and in the paper too; but its authors' places205CNN_deploy.prototxt pools
    # before it normalises, as CaffeNet does.
    "places205-cnn": CaffeWeights(
        architectures=("caffenet", "alexnet"),
        classes=205,
        source=Source(
            name="placesCNN_upgraded.tar.gz",
            page="http://places.csail.mit.edu/downloadCNN.html",
            licence="Creative Commons Attribution",
            urls=("http://places.csail.mit.edu/model/placesCNN_upgraded.tar.gz",),
            about=218_000_000,
        ),
        # The mean colour is replaced by that of the archive's mean image.
        preprocessing=PREPROCESSINGS["caffe"],
        accuracy=0.500,
        member="places205CNN_iter_300000_upgraded.caffemodel",
        mean="places205CNN_mean.binaryproto",
    ),
}

#: Layers that serve training only, by the start of their names.
_TRAINING_ONLY = ("loss1/", "loss2/")


#: Networks of :mod:`aopc.models.caffe_networks`: the layer that has a row for each class, and the
#: preprocessing, a key of :data:`PREPROCESSINGS`.
_NETWORKS = {
    "alexnet": ("fc8", "caffe"),
    "caffe-lenet": ("ip2", "caffe-lenet"),
    "caffenet": ("fc8", "caffe"),
    "googlenet": ("loss3/classifier", "caffe-224"),
}


def caffe_preprocessing(architecture: str) -> str:
    """The name of the preprocessing that one of Caffe's networks takes.

    Raises
    ------
    InputError
        If the architecture is not one of Caffe's networks.
    """
    if architecture not in _NETWORKS:
        raise InputError(
            f"{architecture!r} has no layout for a .caffemodel: {nearest(architecture, _NETWORKS)}"
        )
    return _NETWORKS[architecture][1]


def load_caffe_network(architecture: str, path: Path) -> nn.Module:
    """A network with the weights of a ``.caffemodel`` file, with as many classes as it has.

    Raises
    ------
    InputError
        If the architecture is not one of Caffe's networks, or the file does not fit it.
    """
    caffe_preprocessing(architecture)
    last = _NETWORKS[architecture][0]
    blobs = read_caffemodel(path).get(last)
    if blobs is None:
        raise InputError(f"{path} has no layer {last!r}, the last of {architecture}")
    # In older files an array has four dimensions, the first of them 1.
    if blobs[0].ndim < 2 or blobs[0].size == 0:
        raise InputError(f"{path} has no weights in its layer {last!r}: it is damaged")
    classes = blobs[0].shape[-2]
    return load_caffe_weights(ARCHITECTURES[architecture](classes=classes), path)


def fitting_architecture(path: Path, candidates: Sequence[str]) -> str:
    """Which of the architectures has its layers in the order that a ``.caffemodel`` file lists.

    Raises
    ------
    InputError
        If none has.
    """
    layers = list(read_layers(path))
    for i, name in enumerate(candidates):
        names = _modules(ARCHITECTURES[name](classes=1))
        try:
            _check_order(layers, list(names), path)
        except InputError:
            if i == len(candidates) - 1:
                raise
            continue
        return name
    raise AssertionError("there is no candidate")


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    return {name.replace(".", "/"): m for name, m in model.named_modules() if name}


def load_caffe_weights(model: nn.Module, path: Path) -> nn.Module:
    """Put the weights of a ``.caffemodel`` file into a network of
    :mod:`aopc.models.caffe_networks`, and return it in evaluation mode.

    Raises
    ------
    InputError
        If the file lacks a layer, has one too many, or one of another shape; if its values are not
        finite; or if it lists pooling and normalisation in another order than the network has them,
        which weights alone would not show.
    """
    layers = list(read_layers(path))
    modules = _modules(model)
    _check_order(layers, list(modules), path)
    blobs = weights_of(layers, path)
    learned = {n: m for n, m in modules.items() if isinstance(m, nn.Conv2d | nn.Linear)}
    missing = [name for name in learned if name not in blobs]
    surplus = [n for n in blobs if n not in learned and not n.startswith(_TRAINING_ONLY)]
    if missing or surplus:
        raise InputError(
            f"{path} is not of this network: it lacks {_some(missing)} and has {_some(surplus)}"
        )
    with torch.no_grad():
        for name, module in learned.items():
            _fill(module, blobs[name], f"{path}: layer {name!r}")
    return model.eval()


def _fill(module: nn.Conv2d | nn.Linear, blobs: list[NDArray[np.floating]], where: str) -> None:
    parameters = [module.weight, *([module.bias] if module.bias is not None else [])]
    if len(blobs) != len(parameters):
        raise InputError(
            f"{where} has {len(blobs)} arrays, but the network needs {len(parameters)}"
        )
    for parameter, values in zip(parameters, blobs, strict=True):
        wanted = tuple(parameter.shape)
        # Caffe before 2015 wrote every array with four dimensions, the first of them 1.
        spare = values.ndim - len(wanted)
        if spare < 0 or values.shape[spare:] != wanted or any(d != 1 for d in values.shape[:spare]):
            raise InputError(
                f"{where} has the shape {values.shape}, but the network needs {wanted}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{where} has weights that are NaN or infinite: the file is damaged")
        parameter.copy_(torch.from_numpy(values.reshape(wanted)))


def _check_order(layers: Iterable[CaffeLayer], names: list[str], path: Path) -> None:
    order = {name: i for i, name in enumerate(names)}
    listed = [x.name for x in layers if x.type in ("Pooling", "LRN") and x.name in order]
    for before, after in zip(listed, sorted(listed, key=order.__getitem__), strict=True):
        if before != after:
            raise InputError(
                f"{path} has the layer {before!r} where the network has {after!r}: it is of another"
                " architecture (caffenet pools before it normalises, alexnet after)"
            )


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def weights_named(name: str, table: Mapping[str, CaffeWeights] = CAFFE_WEIGHTS) -> CaffeWeights:
    """The published weights called ``name``.

    Raises
    ------
    InputError
        If there are none of this name.
    """
    if name not in table:
        raise InputError(f"unknown weights {name!r}: {nearest(name, table)}")
    return table[name]
