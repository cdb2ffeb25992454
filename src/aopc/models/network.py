"""A network with all that belongs to it, in memory and as a file."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aopc.base.checked import checked
from aopc.base.files import read_bytes, write_bytes
from aopc.base.names import resolve
from aopc.base.provenance import source_hash
from aopc.models.inference import to_device
from aopc.models.outputs import LogProbabilities, Output, with_output
from aopc.models.preprocessing import Preprocessing
from aopc.models.zoo import ARCHITECTURES


@dataclass(frozen=True)
class Network:
    """A classifier and how to feed it.

    Attributes
    ----------
    model
        (N, C, H, W) → (N, classes), in evaluation mode.
    class_names
        In the order of the outputs, None where they are not known.
    origin
        Where it is from, for result files: architecture, file and checksum.
    output
        What the model's outputs are: "logits" (scores before the softmax), or "probabilities", of which ``model``
        then gives the logarithms (:class:`aopc.models.outputs.LogProbabilities`): class scores whose softmax they are.
    """

    model: nn.Module
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    output: Output = "logits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", with_output(self.model, self.output))

    def inputs(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames as of :meth:`Preprocessing.frame`, (N, H, W, 3) or (N, H, W) uint8 → (N, C, H, W) float32."""
        return torch.from_numpy(self.preprocessing.normalise(np.asarray(frames)))

    def on(self, device: str | None = None) -> "Network":
        """The network on the named device, or on the best one; errors as of :func:`to_device`."""
        return replace(self, model=to_device(self.model, device))


def build(architecture: str, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """A network of a registered architecture, or of the user's own by dotted path."""
    return checked(resolve("architecture", ARCHITECTURES, architecture), architecture, settings, classes=classes)


@dataclass(frozen=True)
class Layout:
    """How to build a network: its architecture, number of classes, and further settings."""

    architecture: str
    classes: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network without its weights."""
        return build(self.architecture, self.classes, self.settings)


def save_network(path: Path, network: Network, layout: Layout) -> None:
    """Write a network with all that is needed to use it."""
    model = network.model.model if isinstance(network.model, LogProbabilities) else network.model
    content = {
        **asdict(layout),
        "state_dict": model.state_dict(),
        "preprocessing": asdict(network.preprocessing),
        "origin": dict(network.origin),
        "output": network.output,
    }
    # Through memory: torch.save writes the file's own name into it, and equal networks should be equal files.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def stored_network(path: Path) -> Network:
    """Read what :func:`save_network` wrote: the network in evaluation mode, on the CPU; a DamagedError if it is not that.

    Of an architecture of the user's own, the origin says the hash of its source (:func:`source_hash`).
    """
    content = torch.load(io.BytesIO(read_bytes(path)), map_location="cpu", weights_only=True)
    model = build(content["architecture"], content["classes"], content["settings"])
    model.load_state_dict(content["state_dict"])
    origin, source = dict(content["origin"]), source_hash(content["architecture"])
    if source is not None:
        origin["architecture source"] = source
    preprocessing, output = Preprocessing(**content["preprocessing"]), content.get("output", "logits")
    return Network(model.eval(), preprocessing, origin=origin, output=output)
