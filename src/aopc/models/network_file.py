"""A trained network as a file that says how to build it and how to feed it."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aopc.models import ARCHITECTURES
from aopc.models.preprocessing import Preprocessing
from aopc.registry import resolve
from aopc.settings import call
from aopc.tables import atomic


def build(architecture: str, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    """A network of a registered architecture, or of the user's own by dotted path."""
    function = resolve("architecture", ARCHITECTURES, architecture)
    model: nn.Module = call(function, architecture, settings, classes=classes)
    return model


def save_network(
    path: Path,
    model: nn.Module,
    architecture: str,
    classes: int,
    settings: Mapping[str, Any],
    preprocessing: Preprocessing,
    origin: Mapping[str, Any],
) -> None:
    """Write a network with all that is needed to use it."""
    content = {
        "architecture": architecture,
        "classes": classes,
        "settings": dict(settings),
        "state_dict": model.state_dict(),
        "preprocessing": asdict(preprocessing),
        "origin": dict(origin),
    }
    # Through memory: torch.save writes the file's own name into it, and equal networks should be
    # equal files.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_network(path: Path) -> tuple[nn.Module, Preprocessing]:
    """Read what :func:`save_network` wrote: the network in evaluation mode, on the CPU."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    model = build(content["architecture"], content["classes"], content["settings"])
    model.load_state_dict(content["state_dict"])
    return model.eval(), Preprocessing(**content["preprocessing"])
