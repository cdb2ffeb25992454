"""How many images, or trajectories, go through the network at once.

The rules depend on the network, the job and the device, not on timings, so that the same job gives the same result to
the bit. `benchmarks/` shows how near they come to the best sizes.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aopc.models.inference import device_of
from aopc.models.structure import isolated

#: Values of a network's largest map over one batch on a CPU. Small networks fill its caches, large ones should not
#: leave them by far.
_VALUES = 2**24
#: The share of its time that a batch may spend on reading weights.
_READING = 0.015
#: Bytes of activations kept for all trajectories on a CPU.
_KEPT_BYTES = 2**29
#: The share of a GPU's memory that activations may take.
_GPU_SHARE = 0.4
#: Multiply–adds that take as long as reading one byte of weights from memory: of CPUs and GPUs alike about 10 in
#: float32. A network with large fully connected layers is slow on few images at once.
MACS_PER_BYTE = 10


@dataclass(frozen=True)
class Work:
    """What a pass of one image through a network, or a part of it, takes.

    Attributes
    ----------
    largest_map
        Values of the largest output of a layer.
    macs
        Multiply–adds of convolutions and fully connected layers.
    weights
        Bytes of parameters.
    """

    largest_map: int
    macs: int
    weights: int


def bytes_of_weights(model: nn.Module) -> int:
    """Of all parameters."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def macs_of(layer: nn.Module, outputs: int) -> int:
    """Multiply–adds for so many output values; 0 for other layers than those that have weights."""
    return outputs * layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0


def work_of(model: nn.Module, image: Tensor) -> Work:
    """By a run on ``image`` (1, C, H, W), of which the model keeps nothing."""
    maps, macs = [image.numel()], [0]

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            maps.append(output.numel())
            macs.append(macs_of(module, output.numel()))

    model = isolated(model)
    leaves = [m for m in model.modules() if next(m.children(), None) is None]
    # Scripted modules take no hooks.
    scripted = any(isinstance(m, torch.jit.ScriptModule) for m in leaves)
    operators = _Counted(image) if scripted else nullcontext()
    handles = [] if scripted else [m.register_forward_hook(note) for m in leaves]
    try:
        with operators:
            # A copy, since some models change their input.
            model(image.clone())
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(operators, _Counted):
        maps, macs = [operators.largest], [operators.macs]
    return Work(max(maps), sum(macs), bytes_of_weights(model))


class _Counted(TorchDispatchMode):
    """The largest result, and multiply–adds, of the operators that run."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.largest, self.macs = image.numel(), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.largest = max(self.largest, found.numel())
            name = func.overloadpacket.__name__
            if name in ("convolution", "_convolution"):
                self.macs += found.numel() * args[1][0].numel()
            elif name in ("mm", "addmm", "bmm"):
                self.macs += found.numel() * args[-2].shape[-1]
        return found


def full_batch(model: nn.Module, work: Work) -> int:
    """Images a full forward pass."""
    # The input and output of the largest layer, and what a convolution works in.
    on_gpu = _gpu_batch(model, 4 * 4 * work.largest_map)
    by_weights = MACS_PER_BYTE * work.weights / (_READING * max(1, work.macs))
    return on_gpu or max(4, min(256, max(_VALUES // max(1, work.largest_map), int(by_weights))))


def trajectory_batch(model: nn.Module, kept_bytes: int) -> int:
    """Trajectories at once, each of which keeps so many bytes of activations."""
    return _gpu_batch(model, 2 * kept_bytes) or max(16, min(128, _KEPT_BYTES // kept_bytes))


def _gpu_batch(model: nn.Module, each: int) -> int:
    """How many of so many bytes fit into the model's GPU; 0 where it has none."""
    device = device_of(model)
    if device.type != "cuda":
        return 0
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(1, min(1024, int(_GPU_SHARE * memory) // each))
