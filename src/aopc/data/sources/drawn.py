"""A procedurally drawn data set in three parts which mirror the paper's.

``objects``: one object on plain ground (the part of ILSVRC2012). ``scenes``: several objects of one kind among
clutter, so that the evidence lies all over the image (MIT Places). ``scenes-shifted``: the same kinds under other
statistics, not trained on (SUN397).

The label is a shape. Colour, texture, size, place, angle, lighting, ground and clutter are drawn independently of it,
so a network has to learn shape. The mask marks the pixels of the objects that the label names.
"""

import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aopc.base.checked import Count
from aopc.base.machine import require_memory
from aopc.base.names import require_known
from aopc.base.random import Stream
from aopc.data.dataset import Dataset

SIZE = 64
SUPERSAMPLING = 4
_PLAIN = np.zeros((SIZE, SIZE), dtype=np.float32)

Polygon = NDArray[np.float64]
Plane = NDArray[np.float32]
#: An image and its mask.
Drawing = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def _ring_of_points(count: int, radius: float = 1.0, start: float = -np.pi / 2) -> Polygon:
    angles = start + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _cross() -> Polygon:
    w = 0.32
    right = [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w)]
    left = [(w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w)]
    return np.array([*right, *left])


def _ring() -> Polygon:
    outer, inner = _ring_of_points(36), _ring_of_points(36, 0.55)[::-1]
    return np.concatenate([outer, outer[:1], inner[-1:], inner])


def _crescent() -> Polygon:
    angles = np.linspace(0.3 * np.pi, 1.7 * np.pi, 28)
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    bite = np.linspace(outer[-1, 1], outer[0, 1], 20)
    depth = np.sqrt(np.maximum(0.81**2 - bite**2, 0.0))
    return np.concatenate([outer, np.stack([outer[0, 0] - depth * 0.75, bite], axis=1)])


def _heart() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], axis=1) / 17


#: Class name → outline inside the unit circle, x to the right and y down.
SHAPES: dict[str, Polygon] = {
    "arrow": np.array([(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)]),
    "crescent": _crescent(),
    "cross": _cross(),
    "disc": _ring_of_points(36),
    "heart": _heart(),
    "hourglass": np.array([(-0.8, -1), (0.8, -1), (0.16, 0), (0.8, 1), (-0.8, 1), (-0.16, 0)]),
    "ring": _ring(),
    "square": 1.1 * _ring_of_points(4, start=np.pi / 4),
    "star": np.stack([_ring_of_points(5), _ring_of_points(5, 0.42, -np.pi / 2 + np.pi / 5)], axis=1).reshape(10, 2),
    "triangle": _ring_of_points(3),
}
CLASSES = tuple(SHAPES)


@dataclass(frozen=True)
class Style:
    """The statistics of one part of the data set."""

    objects: tuple[int, int]  # how many objects of the labelled kind, least and most
    radius: tuple[float, float]  # of an object, in pixels
    clutter: tuple[int, int]  # how many blobs and lines around them
    ground_contrast: float  # of the ground's texture, in parts of the grey range
    ground_grains: tuple[int, ...]  # cells of the ground's texture across the image
    saturation: tuple[float, float]
    shade: float  # strength of the lighting across the image
    noise: float  # standard deviation of the sensor's noise, in parts of the grey range


StyleName = Literal["objects", "scenes", "scenes-shifted"]
STYLES: dict[StyleName, Style] = {
    "objects": Style((1, 1), (11, 21), (0, 3), 0.10, (3, 7), (0.2, 1.0), 0.35, 0.02),
    "scenes": Style((3, 5), (7, 12), (5, 10), 0.30, (4, 11), (0.2, 1.0), 0.35, 0.02),
    "scenes-shifted": Style((2, 6), (6, 13), (8, 14), 0.36, (6, 23), (0.0, 0.45), 0.6, 0.05),
}


class _Dice:
    """Random decisions for one image."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._values: list[float] = []

    def real(self, low: float, high: float) -> float:
        if not self._values:
            self._values = self.stream.uniform((256,)).tolist()
        return low + (high - low) * self._values.pop()

    def integer(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both possible."""
        return min(high, int(self.real(low, high + 1)))


def _colour(dice: _Dice, saturation: tuple[float, float]) -> Plane:
    """A colour of any hue and lightness, (3,)."""
    hue, value, strength = dice.real(0, 6), dice.real(0.15, 1.0), dice.real(*saturation)
    k = (np.array([5.0, 3.0, 1.0]) + hue) % 6
    return (value * (1 - strength * np.clip(np.minimum(k, 4 - k), 0, 1))).astype(np.float32)


def _contrasting(dice: _Dice, saturation: tuple[float, float], ground: Plane) -> Plane:
    """A colour that can be told from the ground's."""
    weights = np.array([0.3, 0.59, 0.11], dtype=np.float32)
    colour = _colour(dice, saturation)
    for _ in range(20):
        if abs(float(weights @ (colour - ground))) > 0.22:
            return colour
        colour = _colour(dice, saturation)
    return 1 - ground


def _clouds(dice: _Dice, grains: tuple[int, ...]) -> Plane:
    """Smooth noise of several grain sizes, (SIZE, SIZE), mean about 0, within ±1."""
    total = _PLAIN
    for grain in grains:
        coarse = Image.fromarray(2 * dice.stream.uniform((grain, grain)) - 1)
        total = total + np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return total / np.float32(len(grains))


def _ramp(dice: _Dice) -> Plane:
    """A linear ramp in a random direction, (SIZE, SIZE), within ±1."""
    angle = dice.real(0, 2 * np.pi)
    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    ramp = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    return (ramp / np.sqrt(2)).astype(np.float32)


def _texture(dice: _Dice) -> Plane:
    """The texture of an object, (SIZE, SIZE), within ±1: plain, stripes, checks or clouds."""
    kind, strength = dice.integer(0, 3), dice.real(0.15, 0.5)
    if kind == 0:
        return _PLAIN
    if kind == 3:
        return strength * _clouds(dice, (9, 17))
    frequency, phase = dice.real(5, 11), dice.real(0, np.pi)
    waves = np.sign(np.sin(frequency * np.pi * _ramp(dice) + phase))
    if kind == 2:
        waves = waves * np.sign(np.sin(frequency * np.pi * _ramp(dice)))
    return (strength * waves).astype(np.float32)


@dataclass(frozen=True)
class _Cover:
    """How much of each pixel a polygon covers, in [0, 1], within the window that it touches."""

    window: tuple[slice, slice]
    share: Plane

    @classmethod
    def of(cls, outline: Polygon, centre: tuple[float, float]) -> "_Cover":
        points = outline + centre
        low = np.clip(np.floor(points.min(axis=0)), 0, SIZE - 1).astype(int)
        high = np.clip(np.ceil(points.max(axis=0)) + 1, low + 1, SIZE).astype(int)
        width, height = (high - low).tolist()
        canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
        corners = ((points - low) * SUPERSAMPLING).ravel().tolist()
        ImageDraw.Draw(canvas).polygon(corners, fill=255)
        share = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) / np.float32(255)
        return cls((slice(low[1], high[1]), slice(low[0], high[0])), share)

    def paint(self, picture: Plane, colour: Plane, texture: Plane) -> None:
        painted = colour * (1 + texture[self.window][..., None])
        part = picture[self.window]
        part += self.share[..., None] * (painted - part)


def _turned(outline: Polygon, radius: float, angle: float, squeeze: float) -> Polygon:
    c, s = np.cos(angle), np.sin(angle)
    return (outline * [radius, radius * squeeze]) @ np.array([[c, s], [-s, c]])


def _clutter(dice: _Dice) -> _Cover:
    """A blob without corners or a line: neither is one of the shapes."""
    centre = (dice.real(0, SIZE), dice.real(0, SIZE))
    if dice.integer(0, 1):
        length, width = dice.real(8, 30), dice.real(0.7, 2.0)
        outline = np.array([(-length, -width), (length, -width), (length, width), (-length, width)])
        return _Cover.of(_turned(outline / 2, 1.0, dice.real(0, np.pi), 1.0), centre)
    lobes, phase = dice.integer(2, 4), dice.real(0, 2 * np.pi)
    swell = 1 + 0.35 * np.sin(lobes * 2 * np.pi * np.arange(24) / 24 + phase)
    blob = _turned(_ring_of_points(24) * swell[:, None], dice.real(2, 6), 0.0, dice.real(0.3, 0.6))
    return _Cover.of(blob, centre)


def _places(dice: _Dice, radii: list[float]) -> list[tuple[float, float]]:
    """Centres inside the image for circles which overlap as little as some trying allows."""
    places: list[tuple[float, float]] = []
    for radius in radii:
        best, best_gap = (SIZE / 2, SIZE / 2), -np.inf
        for _ in range(12):
            x, y = (dice.real(radius - 1, SIZE + 1 - radius) for _ in range(2))
            gaps = [np.hypot(x - px, y - py) - radius - r for (px, py), r in zip(places, radii, strict=False)]
            gap = min(gaps, default=np.inf)
            if gap > best_gap:
                best, best_gap = (x, y), gap
            if gap > 0:
                break
        places.append(best)
    return places


def draw(style: Style, label: int, stream: Stream) -> Drawing:
    """One image of the class ``label``: (SIZE, SIZE, 3) uint8 RGB, and its mask (SIZE, SIZE)."""
    dice = _Dice(stream)
    ground = _colour(dice, style.saturation)
    relief = style.ground_contrast * _clouds(dice, style.ground_grains)
    picture = np.clip(ground[None, None, :] + relief[..., None], 0, 1).astype(np.float32)
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    for _ in range(dice.integer(*style.clutter)):
        colour = _contrasting(dice, style.saturation, ground)
        _clutter(dice).paint(picture, colour, _PLAIN)
    radii = [dice.real(*style.radius) for _ in range(dice.integer(*style.objects))]
    outline = SHAPES[CLASSES[label]]
    for radius, centre in zip(radii, _places(dice, radii), strict=True):
        turned = _turned(outline, radius, dice.real(-0.6, 0.6), dice.real(0.8, 1.0))
        cover = _Cover.of(turned, centre)
        cover.paint(picture, _contrasting(dice, style.saturation, ground), _texture(dice))
        mask[cover.window] |= cover.share > 0.5
    picture *= 1 + style.shade * _ramp(dice)[..., None]
    grain = dice.stream.uniform((3 * SIZE, SIZE)).reshape(SIZE, SIZE, 3) - 0.5
    picture += style.noise * np.sqrt(12) * grain
    return np.floor(255 * np.clip(picture, 0, 1) + 0.5).astype(np.uint8), mask


def _draw_numbered(style: StyleName, split: str, seed: int, number: int) -> Drawing:
    return draw(STYLES[style], number % len(CLASSES), Stream(seed, "drawn", style, split, number))


def drawn(*, style: StyleName, split: str, images: Count, seed: int) -> Dataset:
    """``images`` images of a part of the data set, the classes in turn, drawn by ``seed``.

    ``style`` is a key of :data:`STYLES`, ``split`` "train" or "test"; different splits share no random value.
    """
    require_known("style", style, STYLES)
    # Each with its mask.
    require_memory(4 * images * SIZE**2, f"{images} drawn images")
    # The workers are interrupted by this process, not by the terminal.
    with ProcessPoolExecutor(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        drawings = list(pool.map(partial(_draw_numbered, style, split, seed), range(images), chunksize=100))
    return Dataset(
        images=np.stack([picture for picture, _ in drawings]),
        labels=np.arange(images, dtype=np.int64) % len(CLASSES),
        ids=tuple(f"{style}/{split}/{i:05d}" for i in range(images)),
        classes=CLASSES,
        masks=np.stack([mask for _, mask in drawings]),
    )
