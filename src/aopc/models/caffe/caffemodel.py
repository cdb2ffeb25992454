"""Reads the networks that Caffe wrote: ``.caffemodel`` and ``.binaryproto`` files.

Both are protocol buffers (caffe.proto, BVLC). The messages are declared here as far as weights need them, with the
field numbers of caffe.proto. A message's repeated submessages are declared as bytes and parsed one at a time: wire
format allows that, and a file of millions of empty layers then costs no more memory than its own size.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from aopc.base.arguments import require_instance
from aopc.base.errors import InputError

#: The largest networks of Caffe's zoo (VGG) have 0.6 GB; a hostile file costs up to 20 times its size.
LARGEST_FILE = 2**30
#: The deepest networks that Caffe users trained have about a thousand layers.
MOST_LAYERS = 10_000
MOST_BLOBS = 100

_Field = descriptor_pb2.FieldDescriptorProto
#: Message → type → field → number. "V1Layer" is the format of Caffe before 2015.
_MESSAGES: dict[str, dict[int, dict[str, int]]] = {
    "Net": {_Field.TYPE_BYTES: {"name": 1, "v1_layers": 2, "layers": 100}},
    "Layer": {_Field.TYPE_BYTES: {"name": 1, "type": 2, "blobs": 7}},
    "V1Layer": {_Field.TYPE_BYTES: {"v0_layer": 1, "name": 4, "blobs": 6}, _Field.TYPE_INT32: {"type": 5}},
    "Blob": {
        _Field.TYPE_INT32: {"num": 1, "channels": 2, "height": 3, "width": 4},
        _Field.TYPE_FLOAT: {"data": 5},
        _Field.TYPE_BYTES: {"shape": 7},
        _Field.TYPE_DOUBLE: {"double_data": 8},
    },
    "Shape": {_Field.TYPE_INT64: {"dim": 1}},
}
_REPEATED = {"v1_layers", "layers", "blobs", "data", "double_data", "dim"}

#: V1LayerParameter.LayerType, as far as this package's networks have such layers.
_V1_TYPES = {
    3: "Concat", 4: "Convolution", 6: "Dropout", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU", 20: "Softmax"
}  # fmt: skip


@dataclass(frozen=True)
class CaffeLayer:
    """A layer of a network file: its name, Caffe's name of its type, its weights and biases."""

    name: str
    type: str
    blobs: list[NDArray[np.floating]]


def read_caffemodel(path: Path | str) -> dict[str, list[NDArray[np.floating]]]:
    """The weights in a ``.caffemodel`` file, by layer.

    Both of Caffe's formats are read, the current one and V1 (Caffe before 2015).

    Parameters
    ----------
    path
        A file of binary protobuf, as Caffe's ``Net::ToProto`` writes it.

    Returns
    -------
    Layer name → its arrays, the weights first, then the bias where there is one; float32, or float64 where Caffe was
    built so. Shapes are those of the file: weights of a convolution are (outputs, inputs a group, height, width), of
    an inner product (outputs, inputs) or, in older files, (1, 1, outputs, inputs). Layers without weights are left
    out.

    Raises
    ------
    InputError
        If the file is missing, is not a Caffe network, is cut off, or contradicts itself.

    References
    ----------
    Jia et al.: Caffe: Convolutional Architecture for Fast Feature Embedding (2014); the format is that of
    ``src/caffe/proto/caffe.proto``.
    """
    require_instance("path", path, (str, Path), "the path of a file")
    weights = weights_of(read_layers(Path(path)), path)
    if not weights:
        raise InputError(
            f"{path} holds no weights: give the .caffemodel file that Caffe wrote, not a .prototxt or a .solverstate"
        )
    return weights


def weights_of(layers: Iterable[CaffeLayer], path: Path | str) -> dict[str, list[NDArray[np.floating]]]:
    """Layer name → arrays, of the layers that have any; two of one name are an InputError."""
    weights: dict[str, list[NDArray[np.floating]]] = {}
    for layer in layers:
        if layer.blobs and layer.name in weights:
            raise InputError(f"{path} has two layers {layer.name!r} with weights: it is damaged")
        if layer.blobs:
            weights[layer.name] = layer.blobs
    return weights


def read_layers(path: Path) -> Iterator[CaffeLayer]:
    """All layers in a ``.caffemodel`` file, in their order. Errors as in :func:`read_caffemodel`."""
    net = _parse("Net", _read(path), path)
    if len(net.layers) and len(net.v1_layers):
        raise InputError(f"{path} mixes layers of two of Caffe's formats: it is damaged")
    old = len(net.v1_layers) > 0
    contents = net.v1_layers if old else net.layers
    if len(contents) > MOST_LAYERS:
        raise InputError(f"{path} claims {len(contents)} layers: it is no Caffe network")
    for content in contents:
        layer = _parse("V1Layer" if old else "Layer", content, path)
        if old and layer.HasField("v0_layer"):
            raise InputError(
                f"{path} is in Caffe's oldest format (V0): upgrade it with Caffe's upgrade_net_proto_binary"
            )
        name = layer.name.decode("utf-8", "replace")
        kind = _V1_TYPES.get(layer.type, str(layer.type)) if old else layer.type.decode("utf-8", "replace")
        where = f"{path}: layer {name!r}"
        if len(layer.blobs) > MOST_BLOBS:
            raise InputError(f"{where} claims {len(layer.blobs)} blobs: it is damaged")
        yield CaffeLayer(name, kind, [_blob(_parse("Blob", b, path), where) for b in layer.blobs])


def read_mean(path: Path) -> NDArray[np.float64]:
    """The mean image in a ``.binaryproto`` file as a colour: (C,) float64, in Caffe's order (BGR); an InputError if
    the file is not the mean image of a data set.
    """
    mean = _blob(_parse("Blob", _read(path), path), str(path))
    if mean.ndim != 4 or mean.shape[0] != 1 or mean.shape[1] not in (1, 3):
        raise InputError(f"{path} is no mean image: its shape is {mean.shape}, not (1, 3, H, W)")
    return mean[0].astype(np.float64).mean(axis=(1, 2))


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"{path} has {size} bytes, more than a Caffe network can have (1 GiB)")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no Caffe network {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(message: str, content: bytes, path: Path | str) -> Any:
    try:
        return _CLASSES[message].FromString(content)
    except DecodeError as error:
        raise InputError(
            f"{path} is no Caffe network, or is damaged or cut off: get it again and compare its checksum"
        ) from error


def _blob(blob: Any, where: str) -> NDArray[np.floating]:
    if blob.data and blob.double_data:
        raise InputError(f"{where}: a blob has values of two precisions: the file is damaged")
    count = len(blob.data) or len(blob.double_data)
    shape: tuple[int, ...] = (blob.num, blob.channels, blob.height, blob.width)
    if blob.HasField("shape"):
        shape = tuple(_parse("Shape", blob.shape, where).dim)
    # Python's integers: dimensions whose product overflows 64 bits are wrong too, not small. At most 32 of them, as
    # in Caffe and numpy.
    impossible = len(shape) > 32 or max(shape, default=0) > LARGEST_FILE
    if impossible or min(shape, default=1) < 0 or prod(shape) != count:
        shown = " × ".join(map(str, shape[:8])) + (" × …" if len(shape) > 8 else "")
        raise InputError(f"{where}: a blob of shape {shown or '()'} has {count} values: the file is damaged")
    values = np.array(blob.double_data, "f8") if blob.double_data else np.array(blob.data, "f4")
    return values.reshape(shape)


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="aopc/caffe_weights.proto", package="aopc.caffe", syntax="proto2")
    for message, types in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for kind, fields in types.items():
            for field, number in fields.items():
                label = _Field.LABEL_REPEATED if field in _REPEATED else _Field.LABEL_OPTIONAL
                declared.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {message: pool.FindMessageTypeByName(f"{file.package}.{message}") for message in _MESSAGES}
    return {message: message_factory.GetMessageClass(descriptor) for message, descriptor in found.items()}


_CLASSES = _message_classes()
