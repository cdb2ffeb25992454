"""A panel of two tiny pictures as the page's viewer shows it, from a real computation."""

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import aopc
from aopc.data.dataset import Dataset
from aopc.experiment.conditions import curves_under
from aopc.experiment.subject import Subject
from aopc.models.network import Network
from aopc.models.preprocessing import Preprocessing
from aopc.paper.report.viewer import viewer_data
from aopc.perturbation.protocol import Protocol

SIDE, IDS = 14, ("first", "</script><b>second")
PREPROCESSING = Preprocessing("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0)
PROTOCOL = Protocol(region_size=3, steps=9, repeats=2, random_orders=2, removal="uniform", seed=4)


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)


def model() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, 5))
    with torch.no_grad():
        net[0].weight /= 100
    return net.eval()


def inputs(frames: np.ndarray) -> torch.Tensor:
    """Frames in the network's input space."""
    return torch.from_numpy(PREPROCESSING.normalise(frames))


def shown_panel() -> dict[str, Any]:
    """The viewer's data, with the heatmaps and the curves that it was made of."""
    targets = np.array([1, 3])
    maps = {e: aopc.heatmaps(model(), inputs(pixels()), e, targets) for e in ("sensitivity-l2", "lrp-epsilon-0.01")}
    images = Dataset(pixels(), None, IDS, ())
    subject = Subject("tiny", Network(model(), PREPROCESSING), images, targets)
    found = curves_under(PROTOCOL, subject, slice(0, 2), [*maps, "random"], maps)
    curves = {e: next(iter(by_order.values())) for e, by_order in found.items()}
    panel = viewer_data("tiny", "Tiny pictures", PROTOCOL, PREPROCESSING, pixels(), IDS, ["a", "b"], maps, curves)
    return {"panel": panel, "maps": maps, "curves": curves}


def decoded(address: str) -> np.ndarray:
    """The pixels of a data address."""
    kind, _, content = address.partition(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
