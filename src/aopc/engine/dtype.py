"""In what a network computes: IEEE float32, TF32 or bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.perturbation.protocol import DTYPES


@contextmanager
def computing_in(dtype: str, device: torch.device) -> Iterator[None]:
    """Convolutions and matrix products in one dtype; torch's settings come back afterwards.

    Parameters
    ----------
    dtype
        "float32": IEEE's, also on GPUs whose convolutions torch computes in TF32 unless told otherwise. "tf32":
        products of 10-bit fractions, summed in float32, on GPUs that have it; elsewhere as float32. "bfloat16": 8-bit
        fractions for weights and activations (autocast). InputError for another one.
    device
        Of the network.
    """
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: {nearest(dtype, DTYPES)}")
    # Torch refuses to mix these with its older switches, so they are left alone where they do nothing.
    on_gpu = device.type == "cuda"
    settings = [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv")] if on_gpu else []  # noqa: B009
    before = [s.fp32_precision for s in settings]
    for setting in settings:
        setting.fp32_precision = "tf32" if dtype == "tf32" else "ieee"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
