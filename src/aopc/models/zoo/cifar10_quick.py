"""The network of Caffe's quick CIFAR-10 example, for Figure 7."""

from torch import nn


def cifar10_quick(*, classes: int = 10) -> nn.Sequential:
    """Three convolutions of 5 × 5 with pooling, two fully connected layers; 32 × 32 pixels.

    After BVLC, examples/cifar10/cifar10_quick.prototxt, whose training stops at iteration 5000 as the paper's Figure 7
    does. The first pooling is by the maximum, the others by the mean.
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, stride=2, ceil_mode=True),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.AvgPool2d(3, stride=2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 64),
        nn.Linear(64, classes),
    )  # fmt: skip
