"""In what arithmetic a network computes: IEEE float32, TF32 or bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from aopc.errors import InputError
from aopc.registry import nearest

Arithmetic = Literal["float32", "tf32", "bfloat16"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)


@contextmanager
def computing_in(arithmetic: str, device: torch.device) -> Iterator[None]:
    """Convolutions and matrix products in one arithmetic; torch's settings come back afterwards.

    Parameters
    ----------
    arithmetic
        "float32": IEEE's, also on GPUs whose convolutions torch computes in TF32 unless told
        otherwise. "tf32": products of 10-bit fractions, summed in float32, on GPUs that have it;
        elsewhere as float32. "bfloat16": 8-bit fractions for weights and activations (autocast).
    device
        Of the network.

    Raises
    ------
    InputError
        If there is no such arithmetic.
    """
    if arithmetic not in ARITHMETICS:
        raise InputError(f"unknown arithmetic {arithmetic!r}: {nearest(arithmetic, ARITHMETICS)}")
    # Torch refuses to mix these with its older switches, so they are left alone where they do nothing.
    on_gpu = device.type == "cuda"
    settings = [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv")] if on_gpu else []  # noqa: B009
    before = [s.fp32_precision for s in settings]
    for setting in settings:
        setting.fp32_precision = "tf32" if arithmetic == "tf32" else "ieee"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=arithmetic == "bfloat16"):
            yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
