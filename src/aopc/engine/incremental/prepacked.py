"""Convolutions whose weights are rearranged once, not in each call.

On CPUs torch computes convolutions by oneDNN, on weights in blocks; it rearranges an ordinary layer's in each call.
For a few windows that takes up to half of the time (VGG-16: 26 % of all windows' convolutions in batches of 4, 15 %
in batches of 16).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aopc.base.machine import is_out_of_memory


class PrepackedConvolution:
    """The convolution of a layer on windows that hold their border: (B, C, h, w) → (B, C', h', w').

    The operators that take weights in blocks are those that torch's own compiler uses. Where they are missing or
    refuse, on other devices and in float64, it is the ordinary convolution.

    Parameters
    ----------
    layer
        Its weights must not change from then on.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        self._layer = layer
        self._geometry = (0, 0), layer.stride, layer.dilation, layer.groups
        self._prepacked: dict[torch.dtype, tuple[Tensor, Tensor | None] | None] = {}

    def __call__(self, window: Tensor) -> Tensor:
        if self._is_one_column(window):
            # Two columns, of which one is left.
            return self._convolved(functional.pad(window, (0, self._layer.stride[1])))[..., :1]
        return self._convolved(window)

    def _is_one_column(self, window: Tensor) -> bool:
        """Whether a stride leaves one column of output: memory that oneDNN, prepacked or not, does not always write.

        That is so in float32 for one input channel a group and in bfloat16 for any number (torch 2.15; of 27,000
        random layers 700, and none without a stride or with two columns).
        """
        layer = self._layer
        columns = window.shape[3] - layer.dilation[1] * (layer.kernel_size[1] - 1)
        return window.device.type == "cpu" and 1 < layer.stride[1] >= columns

    def _convolved(self, window: Tensor) -> Tensor:
        dtype = self._dtype(window)
        if dtype is not None and dtype not in self._prepacked:
            try:
                self._prepacked[dtype] = prepacked = self._pack(window, dtype)
                return self._product(window.to(dtype), prepacked)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self._prepacked[dtype] = None
        found = None if dtype is None else self._prepacked[dtype]
        if found is not None:
            return self._product(window.to(dtype), found)
        layer = self._layer
        return functional.conv2d(window, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)

    def forget(self) -> None:
        """Rearrange the weights anew for the next window, by whose size it is done."""
        self._prepacked.clear()

    def _pack(self, window: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        layer = self._layer
        # Torch's type stubs lack its arguments.
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        weight = reorder(layer.weight.to(dtype).to_mkldnn(), *self._geometry, list(window.shape))
        return weight, None if layer.bias is None else layer.bias.to(dtype)

    def _product(self, window: Tensor, prepacked: tuple[Tensor, Tensor | None]) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(window, *prepacked, *self._geometry, "none", [], "")

    def _dtype(self, window: Tensor) -> torch.dtype | None:
        """In what to compute by prepacked weights; None: not by them."""
        if not _PREPACKS or window.device.type != "cpu" or not torch.backends.mkldnn.enabled:
            return None
        if torch.is_autocast_enabled("cpu"):
            return torch.bfloat16
        return torch.float32 if window.dtype == torch.float32 else None


_PREPACKS = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)
