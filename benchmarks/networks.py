"""The networks that are measured, with seeded weights, and the jobs that they are measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SEED = 0


@dataclass(frozen=True)
class Subject:
    """A network and how it is measured.

    Attributes
    ----------
    build
        Gives the network.
    side, region_size
        Of its images and of the regions, in pixels.
    full, incremental
        (images, repeats, steps) of a job that lasts some seconds on a CPU.
    rounds
        How often each contender has its turn.
    """

    build: Callable[[], nn.Module]
    side: int
    region_size: int
    full: tuple[int, int, int]
    incremental: tuple[int, int, int]
    rounds: int = 5

    @property
    def shorter(self) -> tuple[int, int, int]:
        """``incremental`` with half of its steps."""
        images, repeats, steps = self.incremental
        return images, repeats, steps // 2

    def network(self, device: str) -> nn.Module:
        """With seeded weights, in evaluation mode."""
        torch.manual_seed(SEED)
        model = self.build().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
        return model.to(device)

    def images(self, count: int) -> Tensor:
        """(count, 3, side, side): noise with the spread of mean-subtracted photographs."""
        generator = torch.Generator().manual_seed(SEED)
        return 60 * torch.randn(count, 3, self.side, self.side, generator=generator)


def _caffenet() -> nn.Module:
    from aopc.models.caffe.networks import caffenet

    return caffenet()


def _small() -> nn.Module:
    from aopc.models.zoo.small_caffenet import small_caffenet

    return small_caffenet(classes=8, width=16)


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision import models

        return models.get_model(name, weights=None)

    return build


#: The paper's network, three of torchvision's, and the one of the offline default (params.yaml).
NETWORKS = {
    "caffenet": Subject(_caffenet, 227, 9, full=(1, 5, 100), incremental=(12, 10, 30), rounds=3),
    "squeezenet": Subject(_torchvision("squeezenet1_0"), 227, 9, full=(1, 2, 100), incremental=(3, 10, 30), rounds=4),
    "vgg16": Subject(_torchvision("vgg16"), 224, 9, full=(1, 1, 100), incremental=(2, 8, 40), rounds=2),
    "resnet50": Subject(_torchvision("resnet50"), 224, 9, full=(1, 1, 100), incremental=(2, 8, 10), rounds=4),
    "small": Subject(_small, 64, 4, full=(32, 4, 100), incremental=(64, 10, 40)),
}
