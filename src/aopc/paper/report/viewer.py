"""The data of the page's viewer: a few images, their heatmaps, orders, noise and curves."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from aopc.base.random import Stream
from aopc.figures.style import colour_range, style_of
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.curves import Curves
from aopc.perturbation.order import RANDOM, heatmap_orders, random_orders, ranks_of
from aopc.perturbation.partition import Grid
from aopc.perturbation.protocol import Protocol
from aopc.perturbation.removal import Imputer, removal_named

#: For all images of all panels together, before base64 makes it a third more.
MOST_BYTES = 6_000_000
MOST_IMAGES = 6


def picture(pixels: NDArray[np.uint8], *, colours: NDArray[np.uint8] | None = None) -> str:
    """A PNG as a data address; ``colours``: a palette (256, 3) for (H, W) pixels."""
    image = Image.fromarray(pixels)
    if colours is not None:
        image = image.convert("P")
        image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def heatmap_picture(heatmap: NDArray[np.floating]) -> str:
    """A heatmap in the colours of the figures."""
    low, high, colours = colour_range(heatmap)
    values = np.nan_to_num(np.asarray(heatmap, dtype=np.float64))
    share = np.clip((values - low) / (high - low), 0, 1)
    palette = colormaps[colours](np.arange(256))[:, :3]
    return picture(np.round(share * 255).astype(np.uint8), colours=np.round(palette * 255).astype(np.uint8))


def as_pixels(values: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """From the model's input space (C, H, W) back to what an image file holds."""
    mean, std = (np.array(x)[:, None, None] for x in (preprocessing.mean, preprocessing.std))
    whole = np.clip((values * std + mean) / preprocessing.white * 255, 0, 255).round().astype(np.uint8)
    if preprocessing.channels == "L":
        return whole[0]
    return np.ascontiguousarray(np.moveaxis(whole[::-1] if preprocessing.channels == "BGR" else whole, 0, -1))


def viewer_data(
    name: str,
    title: str,
    protocol: Protocol,
    preprocessing: Preprocessing,
    pixels: NDArray[np.uint8],
    image_ids: Sequence[str],
    classes: Sequence[str],
    heatmaps: dict[str, NDArray[np.floating]],
    curves: dict[str, Curves],
) -> dict[str, Any]:
    """What the viewer needs of one panel.

    Parameters
    ----------
    name, title, protocol, preprocessing
        Of the panel, and the network's; the protocol determines orders and noise.
    pixels, image_ids, classes
        (K, H, W, 3) or (K, H, W) uint8, K names, and K names of the predicted classes.
    heatmaps
        Explainer → (K, H, W).
    curves
        Explainer → its curves in MoRF order, and those of random order; of the K images, first of all. The first
        trajectory is shown, which belongs to the noise that is shown.
    """
    height, width = pixels.shape[1:3]
    grid = Grid(height, width, protocol.region_size)
    removal, values = removal_named(protocol.removal), preprocessing.value_range
    inputs = preprocessing.normalise(pixels)
    explainers = [e for e in curves if e == RANDOM or e in heatmaps]
    images = []
    for i, image_id in enumerate(image_ids):
        stream = Stream(protocol.seed, "noise", image_id, 0)
        if isinstance(removal, Imputer):
            noise = removal(inputs[i], np.ones((height, width), dtype=bool), values, stream)
        else:
            noise = removal(inputs[i], values, stream)
        shown = []
        for explainer in explainers:
            curve, maps = curves[explainer].logits[i, 0], heatmaps.get(explainer)
            if not np.isfinite(curve).all():
                continue  # its heatmap was not finite, and has no order
            if explainer == RANDOM or maps is None:
                order = random_orders(grid, [image_id], 1, protocol.seed)[:, 0]
            else:
                order = heatmap_orders(grid, np.nan_to_num(maps[i : i + 1]), "morf", [image_id], protocol.seed)
            shown.append(
                {
                    "name": explainer,
                    "heatmap": None if maps is None else heatmap_picture(maps[i]),
                    "ranks": base64.b64encode(ranks_of(order)[0].astype("<u2").tobytes()).decode(),
                    "curve": [float(f"{v:.4g}") for v in curve],
                }
            )
        images.append(
            {
                "id": image_id,
                "class": classes[i],
                "image": picture(pixels[i]),
                "noise": picture(as_pixels(noise, preprocessing)),
                "explainers": shown,
            }
        )
    return {
        "name": name,
        "title": title,
        "width": width,
        "height": height,
        "region": protocol.region_size,
        "columns": grid.columns,
        "steps": protocol.steps,
        "labels": {e: style_of(e, explainers)[0] for e in explainers},
        "colours": {e: style_of(e, explainers)[1] for e in explainers},
        "images": images,
    }


def images_to_show(panels: int, height: int, width: int, explainers: int, available: int) -> int:
    """How many images of a panel fit, at most :data:`MOST_IMAGES`, at least one."""
    # Noise does not compress, photographs by about half, heatmaps to about two thirds of a byte.
    each = height * width * (3 + 1.7 + 0.7 * explainers)
    return int(max(1, min(MOST_IMAGES, available, MOST_BYTES / panels / each)))
