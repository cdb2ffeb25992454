"""Local response normalisation as a matrix product, several times faster than torch's own."""

import torch
from torch import Tensor, nn


class ChannelNorm(nn.LocalResponseNorm):
    """``torch.nn.LocalResponseNorm``, equal to it up to rounding.

    The sum over neighbouring channels is a 1 × 1 convolution with a band of ones; torch's pooling over a padded fifth
    axis takes longer than all convolutions of a small network together. The power of Caffe's β = 3/4 is two square
    roots.
    """

    def forward(self, input: Tensor) -> Tensor:
        channels = input.shape[1]
        place = torch.arange(channels, device=input.device)
        offset = place[None, :] - place[:, None]
        # As torch pads: the window of channel c starts at c − size // 2.
        inside = (offset >= -(self.size // 2)) & (offset <= (self.size - 1) // 2)
        band = inside.to(input.dtype)[:, :, None, None] * (self.alpha / self.size)
        base = input.new_full((channels,), self.k)
        scale = nn.functional.conv2d(input * input, band, base)
        if self.beta == 0.75:
            root = scale.rsqrt()
            return input * (root * root.sqrt())
        return input * scale.pow(-self.beta)
