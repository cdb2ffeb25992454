"""The networks of Caffe's model zoo that the paper explains, layer for layer.

Modules bear Caffe's layer names (a dot in a path is a slash there), so weights are found by name. Pooling rounds up
as Caffe's does (``ceil_mode``); local response normalisation is Caffe's ACROSS_CHANNELS with k = 1, which torch
computes alike: y = x (k + α/n Σ x²)^(−β).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from aopc.models.zoo.normalisation import ChannelNorm


def caffe_lenet(*, classes: int = 10) -> nn.Sequential:
    """Caffe's LeNet for grey images of 28 × 28 pixels (BVLC, examples/mnist/lenet.prototxt).

    There is no nonlinearity behind its convolutions but max-pooling.
    """
    layers = {
        "conv1": nn.Conv2d(1, 20, 5), "pool1": _max_pool(2),
        "conv2": nn.Conv2d(20, 50, 5), "pool2": _max_pool(2),
        "flatten": nn.Flatten(),
        "ip1": nn.Linear(50 * 4 * 4, 500), "relu1": nn.ReLU(),
        "ip2": nn.Linear(500, classes),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(layers))


def caffenet(*, classes: int = 1000) -> nn.Sequential:
    """BVLC's reference CaffeNet for 227 × 227 pixels: AlexNet's layers, pooling before LRN.

    Jia et al.: Caffe (2014); models/bvlc_reference_caffenet. The Places CNN (Zhou et al. 2014) has this layout with
    205 classes.
    """
    return _alexnet(classes, pool_first=True)


def alexnet(*, classes: int = 1000) -> nn.Sequential:
    """AlexNet as Caffe has it, for 227 × 227 pixels: LRN before pooling, grouped convolutions.

    Krizhevsky et al. (2012); models/bvlc_alexnet. torchvision's AlexNet is another network: it has neither groups nor
    LRN.
    """
    return _alexnet(classes, pool_first=False)


def _alexnet(classes: int, *, pool_first: bool) -> nn.Sequential:
    def norm_and_pool(number: int) -> dict[str, nn.Module]:
        pool, norm = {f"pool{number}": _max_pool(3)}, {f"norm{number}": _lrn()}
        return {**pool, **norm} if pool_first else {**norm, **pool}

    layers = {
        "conv1": nn.Conv2d(3, 96, 11, stride=4), "relu1": nn.ReLU(), **norm_and_pool(1),
        "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2), "relu2": nn.ReLU(), **norm_and_pool(2),
        "conv3": nn.Conv2d(256, 384, 3, padding=1), "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=2), "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=2), "relu5": nn.ReLU(), "pool5": _max_pool(3),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(256 * 6 * 6, 4096), "relu6": nn.ReLU(), "drop6": nn.Dropout(0.5),
        "fc7": nn.Linear(4096, 4096), "relu7": nn.ReLU(), "drop7": nn.Dropout(0.5),
        "fc8": nn.Linear(4096, classes),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(layers))


class Inception(nn.Module):
    """Four branches, joined by channel (Szegedy et al. 2015, figure 2b).

    Their channels: ``one`` of the 1 × 1 branch; ``three`` and ``five`` (reduced to, channels) of those of 3 × 3 and
    5 × 5; ``pooled`` of the branch behind the max-pooling.
    """

    def __init__(self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        branches: list[dict[str, nn.Module]] = [
            {"1x1": nn.Conv2d(inputs, one, 1), "relu_1x1": nn.ReLU()},
            {"3x3_reduce": nn.Conv2d(inputs, three[0], 1), "relu_3x3_reduce": nn.ReLU(),
             "3x3": nn.Conv2d(*three, 3, padding=1), "relu_3x3": nn.ReLU()},
            {"5x5_reduce": nn.Conv2d(inputs, five[0], 1), "relu_5x5_reduce": nn.ReLU(),
             "5x5": nn.Conv2d(*five, 5, padding=2), "relu_5x5": nn.ReLU()},
            {"pool": nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
             "pool_proj": nn.Conv2d(inputs, pooled, 1), "relu_pool_proj": nn.ReLU()},
        ]  # fmt: skip
        for branch in branches:
            for name, layer in branch.items():
                self.add_module(name, layer)
        self._branches = [list(branch) for branch in branches]

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, the branches' channels, H, W)."""
        outputs = []
        for branch in self._branches:
            y = x
            for name in branch:
                y = self.get_submodule(name)(y)
            outputs.append(y)
        return torch.cat(outputs, dim=1)


def googlenet(*, classes: int = 1000) -> nn.Sequential:
    """BVLC's GoogLeNet for 224 × 224 pixels, without the two classifiers that serve training only.

    Szegedy et al. (2015); models/bvlc_googlenet.
    """
    layers = {
        "conv1/7x7_s2": nn.Conv2d(3, 64, 7, stride=2, padding=3), "conv1/relu_7x7": nn.ReLU(),
        "pool1/3x3_s2": _max_pool(3), "pool1/norm1": _lrn(),
        "conv2/3x3_reduce": nn.Conv2d(64, 64, 1), "conv2/relu_3x3_reduce": nn.ReLU(),
        "conv2/3x3": nn.Conv2d(64, 192, 3, padding=1), "conv2/relu_3x3": nn.ReLU(),
        "conv2/norm2": _lrn(), "pool2/3x3_s2": _max_pool(3),
        "inception_3a": Inception(192, 64, (96, 128), (16, 32), 32),
        "inception_3b": Inception(256, 128, (128, 192), (32, 96), 64),
        "pool3/3x3_s2": _max_pool(3),
        "inception_4a": Inception(480, 192, (96, 208), (16, 48), 64),
        "inception_4b": Inception(512, 160, (112, 224), (24, 64), 64),
        "inception_4c": Inception(512, 128, (128, 256), (24, 64), 64),
        "inception_4d": Inception(512, 112, (144, 288), (32, 64), 64),
        "inception_4e": Inception(528, 256, (160, 320), (32, 128), 128),
        "pool4/3x3_s2": _max_pool(3),
        "inception_5a": Inception(832, 256, (160, 320), (32, 128), 128),
        "inception_5b": Inception(832, 384, (192, 384), (48, 128), 128),
        "pool5/7x7_s1": nn.AvgPool2d(7, stride=1), "pool5/drop_7x7_s1": nn.Dropout(0.4),
        "flatten": nn.Flatten(),
        "loss3/classifier": nn.Linear(1024, classes),
    }  # fmt: skip
    return nn.Sequential(OrderedDict(layers))


def _max_pool(size: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(size, stride=2, ceil_mode=True)


def _lrn() -> ChannelNorm:
    return ChannelNorm(5, alpha=1e-4, beta=0.75, k=1.0)
