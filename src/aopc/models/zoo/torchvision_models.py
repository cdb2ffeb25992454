"""torchvision's architectures."""

from torch import nn

from aopc.base.errors import InputError
from aopc.base.names import nearest

#: Where Caffe's definition of a network differs from torchvision's in what weights do not show: the convolution and
#: its padding. Caffe's SqueezeNet v1.0 has pad: 1 in conv10, torchvision's has none.
CAFFE_PADDING = {"squeezenet1_0": ("classifier.1", (1, 1))}


def torchvision_network(*, classes: int, name: str, caffe: bool = False) -> nn.Module:
    """The architecture alone, as ``torchvision`` in :data:`aopc.models.zoo.ARCHITECTURES`.

    Parameters and errors as of :func:`aopc.models.load.load_torchvision_model`.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"unknown architecture {name!r}: {nearest(name, known)}")
    model = models.get_model(name, weights=None, num_classes=classes)
    if caffe and name in CAFFE_PADDING:
        layer, padding = CAFFE_PADDING[name]
        model.get_submodule(layer).padding = padding
    return model
