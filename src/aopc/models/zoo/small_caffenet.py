"""A small CaffeNet for colour images of 64 × 64 pixels."""

from torch import nn

from aopc.models.zoo.normalisation import ChannelNorm


def small_caffenet(*, classes: int, width: int = 32) -> nn.Sequential:
    """CaffeNet's layers at a sixteenth of its area, so that every rule its parts need runs here.

    Grouped convolutions, pooling before local response normalisation, three fully connected layers with dropout: as
    in the BVLC reference CaffeNet (Jia et al. 2014), with fewer channels: ``width`` in the first layer, where
    CaffeNet has 96.
    """
    w = width
    return nn.Sequential(
        nn.Conv2d(3, w, 7, stride=2, padding=3), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True), ChannelNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        nn.Conv2d(w, 2 * w, 5, padding=2, groups=2), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True), ChannelNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        nn.Conv2d(2 * w, 3 * w, 3, padding=1), nn.ReLU(),
        nn.Conv2d(3 * w, 3 * w, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(3 * w, 2 * w, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(2 * w * 4 * 4, 8 * w), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(8 * w, 8 * w), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(8 * w, classes),
    )  # fmt: skip
