"""Writes networks as Caffe does: caffe.proto as far as weights go, stated anew for the tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch import nn

#: (name, Caffe's type, arrays)
Layer = tuple[str, str, Sequence[np.ndarray]]

#: V1LayerParameter.LayerType in caffe.proto.
V1_TYPES = {"Convolution": 4, "Data": 5, "Dropout": 6, "InnerProduct": 14, "LRN": 15,
            "Pooling": 17, "ReLU": 18, "Softmax": 20}  # fmt: skip


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple) -> None:
        declared = file.message_type.add(name=name)
        for label, kind, number, name_, *packed in fields:
            added = declared.field.add(name=name_, number=number)
            added.label = field.LABEL_REPEATED if label == "repeated" else field.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type, added.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                added.type = kind
            if packed:
                added.options.packed = True

    message("BlobShape", ("repeated", field.TYPE_INT64, 1, "dim", "packed"))
    message(
        "BlobProto",
        ("optional", field.TYPE_INT32, 1, "num"),
        ("optional", field.TYPE_INT32, 2, "channels"),
        ("optional", field.TYPE_INT32, 3, "height"),
        ("optional", field.TYPE_INT32, 4, "width"),
        ("repeated", field.TYPE_FLOAT, 5, "data", "packed"),
        ("repeated", field.TYPE_FLOAT, 6, "diff", "packed"),
        ("optional", "BlobShape", 7, "shape"),
        ("repeated", field.TYPE_DOUBLE, 8, "double_data", "packed"),
    )
    message(
        "LayerParameter",
        ("optional", field.TYPE_STRING, 1, "name"),
        ("optional", field.TYPE_STRING, 2, "type"),
        ("repeated", field.TYPE_STRING, 3, "bottom"),
        ("repeated", field.TYPE_STRING, 4, "top"),
        ("repeated", "BlobProto", 7, "blobs"),
    )
    message(
        "V1LayerParameter",
        ("repeated", field.TYPE_STRING, 2, "bottom"),
        ("repeated", field.TYPE_STRING, 3, "top"),
        ("optional", field.TYPE_STRING, 4, "name"),
        ("optional", field.TYPE_INT32, 5, "type"),
        ("repeated", "BlobProto", 6, "blobs"),
    )
    message(
        "NetParameter",
        ("optional", field.TYPE_STRING, 1, "name"),
        ("repeated", "V1LayerParameter", 2, "layers"),
        ("repeated", field.TYPE_STRING, 3, "input"),
        ("repeated", "LayerParameter", 100, "layer"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        m.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{m.name}"))
        for m in file.message_type
    }


MESSAGES = _messages()


def blob(values: np.ndarray, *, legacy: bool = False) -> Any:
    """A BlobProto; ``legacy``: four dimensions, the first of them 1 where there are fewer."""
    message = MESSAGES["BlobProto"]()
    if legacy:
        shape = (1,) * (4 - values.ndim) + values.shape
        message.num, message.channels, message.height, message.width = shape
    else:
        message.shape.dim.extend(values.shape)
    # Packed values are their bytes behind a tag and a length; one by one they would take seconds.
    tag, little = (b"\x42", "<f8") if values.dtype == np.float64 else (b"\x2a", "<f4")
    raw = values.astype(little).tobytes()
    message.MergeFromString(tag + varint(len(raw)) + raw)
    return message


def varint(value: int) -> bytes:
    """A number in base 128, as protobuf has it."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


#: Tags of fields: a network's layer, a layer's blobs, and a blob's shape and data.
LAYER, BLOBS, SHAPE, DATA = b"\xa2\x06", b"\x3a", b"\x3a", b"\x2a"


def nested(tag: bytes, content: bytes) -> bytes:
    """A message within a message."""
    return tag + varint(len(content)) + content


def caffemodel(layers: Sequence[Layer], *, v1: bool = False, legacy: bool = False) -> bytes:
    """A NetParameter in the current format, or in V1."""
    net = MESSAGES["NetParameter"](name="test")
    for name, kind, arrays in layers:
        layer = net.layers.add() if v1 else net.layer.add()
        layer.name = name
        layer.type = V1_TYPES[kind] if v1 else kind
        layer.top.append(name)
        layer.blobs.extend(blob(a, legacy=legacy) for a in arrays)
    return net.SerializeToString()


_KINDS = {nn.Conv2d: "Convolution", nn.Linear: "InnerProduct", nn.ReLU: "ReLU",
          nn.MaxPool2d: "Pooling", nn.AvgPool2d: "Pooling", nn.LocalResponseNorm: "LRN",
          nn.Dropout: "Dropout"}  # fmt: skip


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers of a network whose modules have Caffe's names."""
    return [
        (
            name.replace(".", "/"),
            _kind(module),
            [p.detach().numpy() for p in module.parameters()],
        )
        for name, module in model.named_modules()
        if _kind(module)
    ]


def write_network(path: Path, model: nn.Module, *, v1: bool = False, legacy: bool = False) -> Path:
    """The network as a ``.caffemodel`` file."""
    path.write_bytes(caffemodel(layers_of(model), v1=v1, legacy=legacy))
    return path


def _kind(module: nn.Module) -> str | None:
    return next((name for kind, name in _KINDS.items() if isinstance(module, kind)), None)
