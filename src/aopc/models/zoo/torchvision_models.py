"""torchvision's architectures."""

from collections.abc import Callable

from torch import nn

from aopc.base.errors import InputError
from aopc.base.names import nearest


def _pad_final_convolution(model: nn.Module) -> None:
    # Caffe's SqueezeNet v1.0 has pad: 1 in conv10, torchvision's has none; weights do not show it.
    convolution = model.get_submodule("classifier.1")
    assert isinstance(convolution, nn.Conv2d)
    convolution.padding = (1, 1)


#: Where Caffe's definition of a network differs from torchvision's in what weights do not show.
CAFFE_LAYOUT: dict[str, Callable[[nn.Module], None]] = {"squeezenet1_0": _pad_final_convolution}


def torchvision_network(*, classes: int, name: str, caffe: bool = False) -> nn.Module:
    """The architecture alone, as ``torchvision`` in :data:`aopc.models.zoo.ARCHITECTURES`.

    Parameters and errors as of :func:`aopc.models.load.load_torchvision_model`.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"unknown architecture {name!r}: {nearest(name, known)}")
    model = models.get_model(name, weights=None, num_classes=classes)
    if caffe and name in CAFFE_LAYOUT:
        CAFFE_LAYOUT[name](model)
    return model
