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

from aopc.base.arguments import as_array, require_instance
from aopc.base.checked import checked
from aopc.base.errors import InputError
from aopc.base.files import read_bytes, write_bytes
from aopc.base.names import resolve
from aopc.base.provenance import source_hash
from aopc.base.text import shown
from aopc.models.inference import to_device
from aopc.models.outputs import LogProbabilities, Output, with_output
from aopc.models.preprocessing import Preprocessing
from aopc.models.tensors import load_tensors, require_tensors
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
        require_instance("model", self.model, nn.Module, "a torch.nn.Module")
        require_instance("preprocessing", self.preprocessing, Preprocessing, "a Preprocessing")
        object.__setattr__(self, "model", with_output(self.model, self.output))

    def inputs(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames as of :meth:`Preprocessing.frame`, (N, H, W, 3) or (N, H, W) uint8 → (N, C, H, W) float32."""
        found = as_array("frames", frames, kinds="u")
        axes = 3 if self.preprocessing.channels == "L" else 4
        if found.dtype != np.uint8 or found.ndim != axes or (axes == 4 and found.shape[3] != 3):
            raise InputError(f"frames must be uint8, {axes} axes, RGB last; got {found.dtype} of shape {found.shape}")
        return torch.from_numpy(self.preprocessing.normalise(found))

    def on(self, device: str | None = None) -> "Network":
        """The network on the named device, or on the best one; errors as of :func:`to_device`."""
        return replace(self, model=to_device(self.model, device))


def build(architecture: str, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """A network of a registered architecture, or of the user's own by dotted path; InputError if it cannot be built."""
    function = resolve("architecture", ARCHITECTURES, architecture)
    try:
        model = checked(function, architecture, settings, classes=classes)
    except InputError:
        raise
    # A user's function may fail in any way, and ours on what torch cannot build.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{architecture} cannot be built with {classes} classes and {dict(settings)}: {reason}"
        ) from error
    require_instance(f"what {architecture} gives", model, nn.Module, "a torch.nn.Module")
    return model


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


def stored_network(path: Path, architecture: str | None = None) -> Network:
    """Read what :func:`save_network` wrote: the network in evaluation mode, on the CPU.

    Of an architecture of the user's own, the origin says the hash of its source (:func:`source_hash`).

    Parameters
    ----------
    path
        A file that may be from anywhere.
    architecture
        What the user's own settings name, which the file must agree with: code that the file alone names is never
        run. None: only ours.

    Raises
    ------
    InputError
        If it is no such file, or is of another architecture; a DamagedError if its content is not what was written.
    """
    whole = io.BytesIO(read_bytes(path))
    try:
        content = load_tensors(whole, path)
        named, classes, settings = content["architecture"], content["classes"], content["settings"]
        preprocessing, origin = Preprocessing(**content["preprocessing"]), dict(content["origin"])
        require_tensors(content["state_dict"], path, whole)
    except (InputError, MemoryError):
        raise
    # On bytes that are no archive the unpickler fails in whatever way it happens to.
    except Exception as error:
        raise InputError(f"{path} is no network that this program stored, or is damaged: remove it") from error
    if named != architecture and (architecture is not None or named not in ARCHITECTURES):
        wanted = f"the settings name {shown(architecture)}" if architecture else "no settings name it"
        raise InputError(f"{path} wants to be built by {shown(named)}, but {wanted}: remove the file, or name it there")
    model = build(named, classes, settings)
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not fit its architecture {named}: remove it") from error
    source = source_hash(named)
    if source is not None:
        origin["architecture source"] = source
    return Network(model.eval(), preprocessing, origin=origin, output=content.get("output", "logits"))
