"""Two small networks for grey digits of 32 × 32 pixels: with max-pooling, and without."""

from torch import nn


def digit_lenet(*, classes: int) -> nn.Sequential:
    """LeNet's layers: two convolutions with max-pooling, two fully connected layers.

    After Caffe's LeNet (Jia et al. 2014), with a ReLU behind each convolution.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 128), nn.ReLU(),
        nn.Linear(128, classes),
    )  # fmt: skip


def digit_strided(*, classes: int) -> nn.Sequential:
    """Strided convolutions in the place of pooling, for Figure 3.

    Nothing records where a maximum was, so deconvolution has only the ReLUs of its own backward pass to depend on,
    and those do not know the image (Samek et al., Figure 3).
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128), nn.ReLU(),
        nn.Linear(128, classes),
    )  # fmt: skip
