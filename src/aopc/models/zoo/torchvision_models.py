"""torchvision's architectures, and the preprocessing that belongs to its published weights."""

import hashlib
import re
from pathlib import Path
from typing import Any

from torch import nn

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.models.preprocessing import Preprocessing

#: Where Caffe's definition of a network differs from torchvision's in what weights do not show: the convolution and
#: its padding. Caffe's SqueezeNet v1.0 has pad: 1 in conv10, torchvision's has none.
CAFFE_PADDING = {"squeezenet1_0": ("classifier.1", (1, 1))}

#: Networks whose published weights were trained on inputs with mean and standard deviation 0.5. torchvision gives them
#: ImageNet's and converts inside (``transform_input``), where no layer does it and no rule of LRP reaches.
_HALVES = ("googlenet", "inception_v3")
#: Their auxiliary classifiers, which serve training only.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def torchvision_network(*, classes: int, name: str, caffe: bool = False, image_size: int | None = None) -> nn.Module:
    """The architecture alone, as ``torchvision`` in :data:`aopc.models.zoo.ARCHITECTURES`.

    ``image_size`` is of vision transformers, None: the architecture's; GoogLeNet and Inception come without auxiliary
    classifiers. Other parameters and errors as of :func:`aopc.models.load.load_torchvision_model`.
    """
    from torchvision import models

    check_architecture(name)
    settings: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name in _HALVES else {}
    settings |= {} if image_size is None else {"image_size": image_size}
    model = models.get_model(name, weights=None, num_classes=classes, **settings)
    if caffe and name in CAFFE_PADDING:
        layer, padding = CAFFE_PADDING[name]
        model.get_submodule(layer).padding = padding
    return model


def check_architecture(name: str) -> None:
    """InputError if torchvision has no such classifier."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"unknown architecture {name!r}: {nearest(name, known)}")


def torchvision_preprocessings(name: str) -> dict[str, Preprocessing]:
    """What torchvision does to the images for each of an architecture's published weights, by their names there
    (``IMAGENET1K_V1``, …), the first first.

    It is torchvision's own record (``weights.transforms()``). The inputs of GoogLeNet and Inception are converted as
    these networks do it by themselves with ``transform_input``: (x − 0.5) / 0.5 of x between 0 and 1.
    """
    from torchvision import models

    return {w.name: _preprocessing(w, halves=name in _HALVES) for w in models.get_model_weights(name)}


def _preprocessing(weights: Any, *, halves: bool) -> Preprocessing:
    record = weights.transforms()
    return Preprocessing(
        "RGB",
        (0.5,) * 3 if halves else tuple(record.mean),
        (0.5,) * 3 if halves else tuple(record.std),
        1.0,
        record.resize_size[0],
        record.crop_size[0],
        record.interpolation.value,
    )


def published_as(name: str, file: Path) -> str | None:
    """Which of an architecture's published weights a file is, by the start of its SHA-256 that their address holds;
    None if it is none of them.
    """
    from torchvision import models

    with file.open("rb") as opened:
        checksum = hashlib.file_digest(opened, "sha256").hexdigest()
    for weights in models.get_model_weights(name):
        match = re.search(r"-([0-9a-f]{8,})\.\w+$", weights.url)
        if match and checksum.startswith(match[1]):
            return str(weights.name)
    return None
