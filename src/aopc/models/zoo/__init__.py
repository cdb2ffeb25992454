"""Architectures: one module each.

An architecture is a function ``architecture(*, classes, **settings) -> torch.nn.Module``; one that the pipeline
trains is a ``torch.nn.Sequential``.
"""

#: Name → architecture, imported at its first use.
ARCHITECTURES: dict[str, str] = {
    "alexnet": "aopc.models.caffe.networks:alexnet",
    "caffe-lenet": "aopc.models.caffe.networks:caffe_lenet",
    "caffenet": "aopc.models.caffe.networks:caffenet",
    "cifar10-quick": "aopc.models.zoo.cifar10_quick:cifar10_quick",
    "digit-lenet": "aopc.models.zoo.digit_networks:digit_lenet",
    "digit-strided": "aopc.models.zoo.digit_networks:digit_strided",
    "googlenet": "aopc.models.caffe.networks:googlenet",
    "small-caffenet": "aopc.models.zoo.small_caffenet:small_caffenet",
    "torchvision": "aopc.models.zoo.torchvision_models:torchvision_network",
}
