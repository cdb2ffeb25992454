"""Local response normalisation as a matrix product, several times faster than torch's own."""

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary


def channel_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """``torch.nn.functional.local_response_norm`` of (N, C, H, W), equal to it up to rounding.

    The sum over neighbouring channels is a 1 × 1 convolution with a band of ones; torch's pooling over a padded fifth
    axis takes longer than all convolutions of a small network together. The power of Caffe's β = 3/4 is two square
    roots. As torch's own, it is one call to those who watch calls (``torch.overrides``).
    """
    if has_torch_function_unary(input):
        return handle_torch_function(channel_norm, (input,), input, size, alpha=alpha, beta=beta, k=k)
    channels = input.shape[1]
    place = torch.arange(channels, device=input.device)
    offset = place[None, :] - place[:, None]
    # As torch pads: the window of channel c starts at c − size // 2.
    inside = (offset >= -(size // 2)) & (offset <= (size - 1) // 2)
    band = inside.to(input.dtype)[:, :, None, None] * (alpha / size)
    base = input.new_full((channels,), k)
    scale = nn.functional.conv2d(input * input, band, base)
    if beta == 0.75:
        root = scale.rsqrt()
        return input * (root * root.sqrt())
    return input * scale.pow(-beta)


class ChannelNorm(nn.LocalResponseNorm):
    """``torch.nn.LocalResponseNorm`` by :func:`channel_norm`."""

    def forward(self, input: Tensor) -> Tensor:
        return channel_norm(input, self.size, self.alpha, self.beta, self.k)
