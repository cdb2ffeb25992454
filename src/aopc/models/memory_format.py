"""In which memory format a network gets its images: channels last, which is faster, where that computes the same.

It is tried out, once a network. A forward pass may look at strides, or at memory below them. And torch's convolutions
are not right for all shapes in all formats and kinds of numbers (torch 2.15 on CPUs with bfloat16: one input channel a
group, channels last, a stride that leaves one column of output), so each one that runs is computed again otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aopc.base.errors import warned
from aopc.base.machine import is_out_of_memory
from aopc.models.batch_dependence import Scores, agree, can_share_a_batch
from aopc.models.structure import Findings, isolated
from aopc.models.unwritten import unwritten_memory_is_nan

#: How far a convolution may be off, as a share of its largest value.
_ROUNDING = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}

_known: Findings[tuple[torch.memory_format, str | None]] = Findings()


def memory_format_of(model: nn.Module, image: Tensor, scores: Scores) -> torch.memory_format:
    """``torch.channels_last`` where a network gives the same for it, else ``torch.contiguous_format``.

    Parameters
    ----------
    model, image, scores
        As of :func:`aopc.models.batch_dependence.can_share_a_batch`.

    Warns
    -----
    ResultWarning
        If torch computes a convolution of the network wrongly in both formats.
    """
    key = tuple(image.shape), image.dtype, image.device, torch.is_autocast_enabled(image.device.type)

    def tried() -> tuple[torch.memory_format, str | None]:
        with torch.inference_mode(False), torch.no_grad():
            return _tried(isolated(model), image.detach(), scores)

    chosen, fault = _known(model, key, tried)
    warned(fault)
    return chosen


def _tried(model: nn.Module, image: Tensor, scores: Scores) -> tuple[torch.memory_format, str | None]:
    # Some convolutions are right for one image and wrong for two.
    images = torch.cat([image, image.flip(2, 3)]) if can_share_a_batch(model, image, scores) else image

    def passed(layout: torch.memory_format) -> tuple[Tensor, str | None]:
        with unwritten_memory_is_nan(image.device), _Convolutions() as convolutions:
            return scores(model, images.clone(memory_format=layout)), convolutions.fault

    plain, fault = passed(torch.contiguous_format)
    try:
        found, fault_last = passed(torch.channels_last)
    except Exception as error:  # it may not take the format, in whatever way its code finds out
        if is_out_of_memory(error):
            raise
        return torch.contiguous_format, fault
    if fault_last is None and (fault is not None or agree(model, image, scores, found, plain)):
        return torch.channels_last, None
    return torch.contiguous_format, fault


@contextmanager
def _without_onednn() -> Iterator[None]:
    backend: Any = torch.backends.mkldnn
    before = backend.enabled
    try:
        backend.enabled = False
        yield
    finally:
        backend.enabled = before


class _Convolutions(TorchDispatchMode):
    """Computes each convolution on a CPU again in float32 and without oneDNN; ``fault`` says of the first that is off."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and self.fault is None and found.device.type == "cpu":
            self._compare(found, *args)
        return found

    def _compare(self, found: Tensor, *given: Any) -> None:
        allowed = _ROUNDING.get(found.dtype)
        if allowed is None or not all(isinstance(t, Tensor) for t in given[:2]):
            return
        with _without_onednn(), torch.autocast("cpu", enabled=False):
            plain = [t.float().contiguous() if isinstance(t, Tensor) else t for t in given]
            expected = torch.ops.aten.convolution.default(*plain)
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        off = (found.float() - expected).abs().nan_to_num(nan=torch.inf)
        if largest < torch.inf and float(off.max() if off.numel() else 0.0) > allowed * largest:
            shapes = " and ".join(str(tuple(t.shape)) for t in given[:2])
            self.fault = (
                f"torch computes a convolution of this network wrongly on this processor, by {float(off.max()):.2g} where"
                f" its largest value is {largest:.2g} ({str(found.dtype).removeprefix('torch.')}, input and weight of"
                f" shape {shapes}, stride {tuple(given[3])}): the scores are wrong from there on; take the network in"
                " another dtype, or on another device"
            )
