"""Five images of pets, a network for them, and the command ``aopc`` as a user types it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import squeezenet1_1

from aopc import cli
from aopc.data.folder import image_folder
from aopc.experiment.evaluate import Evaluation
from aopc.models.network import Network
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.protocol import Protocol

CLASSES = 4


def write_pets(root: Path) -> Path:
    """Five images in two class folders, a class list, a network's weights."""
    rng = np.random.default_rng(0)
    for i in range(5):
        path = root / "pets" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 60, 3), dtype=np.uint8)).save(path)
    (root / "classes.txt").write_text("cat\ndog\nfox\nowl\n")
    torch.manual_seed(0)
    torch.save(squeezenet1_1(num_classes=CLASSES).state_dict(), root / "weights.pt")
    return root


def options(inputs: Path, out: Path | None = None, **changes: str | Path) -> list[str | Path]:
    """Options of a small evaluation; ``out`` None: of an estimate."""
    chosen: dict[str, str | Path] = {
        "images": inputs / "pets",
        "classes": inputs / "classes.txt",
        "model": "squeezenet1_1",
        "weights": inputs / "weights.pt",
        "explainers": "sensitivity-l2,lrp-epsilon-100",
        "steps": "3",
        "repeats": "1",
        "first": "3",
        **({"out": out} if out is not None else {}),
    } | changes
    return [part for key, value in chosen.items() for part in (f"--{key.replace('_', '-')}", value)]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, command: str = "evaluate") -> int:
    """``aopc`` with a command and its arguments; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["aopc", command, *map(str, arguments)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as done:
        cli.main()
    return int(done.value.code or 0)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines of errors and warnings."""
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("aopc: ")]


class Counter(nn.Module):
    """A small classifier that is killed at a given forward pass."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))
        self.seen, self.stop_at = 0, stop_at

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        if self.stop_at is not None and self.seen > self.stop_at:
            raise KeyboardInterrupt
        return self.head(self.body(x))


def evaluation_of(inputs: Path, model: nn.Module) -> Evaluation:
    """All five images under a protocol that takes a second."""
    preprocessing = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0, (32, 32))
    return Evaluation(
        name="pets",
        folder=image_folder(inputs / "pets"),
        network=Network(model.eval(), preprocessing, origin={"model": "counter"}),
        explainers=["sensitivity-l2", "lrp-alpha2-beta1"],
        protocol=Protocol(4, 10, 2, 2, "uniform", 0),
    )
