"""Networks: one module an architecture; preprocessing belongs to the model.

An architecture is a function ``architecture(*, classes, **settings) -> torch.nn.Module``; one that the
pipeline trains is a ``torch.nn.Sequential``.
"""

from collections.abc import Callable

from torch import nn

from aopc.models.caffe_networks import alexnet, caffe_lenet, caffenet, googlenet
from aopc.models.cifar10_quick import cifar10_quick
from aopc.models.digit_networks import digit_lenet, digit_strided
from aopc.models.small_caffenet import small_caffenet
from aopc.models.torchvision_models import torchvision_network

#: Name → architecture.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "alexnet": alexnet,
    "caffe-lenet": caffe_lenet,
    "caffenet": caffenet,
    "cifar10-quick": cifar10_quick,
    "digit-lenet": digit_lenet,
    "digit-strided": digit_strided,
    "googlenet": googlenet,
    "small-caffenet": small_caffenet,
    "torchvision": torchvision_network,
}
