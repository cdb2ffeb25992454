"""From an image file to the model's input space. Preprocessing belongs to the model."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aopc.base.errors import InputError
from aopc.data.dataset import Dataset
from aopc.data.folder import ImageFolder
from aopc.perturbation.value_range import ValueRange

#: Sides of an image; of a longer one, resized by its shorter side, a network sees next to nothing.
MOST_TIMES_AS_LONG = 50


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the centre, order the channels, scale, subtract the mean, divide.

    Attributes
    ----------
    channels
        "RGB", "BGR" or "L" (grey).
    mean, std
        By channel, in the order of ``channels`` and in units of ``white``.
    white
        The value of a full 8-bit channel before the mean is subtracted: 255 (Caffe) or 1.
    resize
        (width, height) to which the whole image is warped, or the length of its shorter side with the aspect kept;
        None: no resizing.
    crop
        Side of the square cut from the centre; None: the whole image.
    interpolation
        How pixels are resized.
    """

    channels: Literal["RGB", "BGR", "L"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float
    resize: tuple[int, int] | int | None = None
    crop: int | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def value_range(self) -> ValueRange:
        """What an 8-bit image can become: from black to white, channel by channel."""
        pairs = list(zip(self.mean, self.std, strict=True))
        return ValueRange(tuple((0.0 - m) / s for m, s in pairs), tuple((self.white - m) / s for m, s in pairs))

    def framed(self, dataset: Dataset, file: Path | None = None) -> Dataset:
        """A data set as the frames that the network sees (:meth:`Dataset.framed`)."""
        # Arrays of the right kind that need no resizing are their own frames.
        ready = self.resize is None and self.crop is None and not isinstance(dataset.images, ImageFolder)
        plain = ready and (self.channels == "L") == (dataset.pixels.ndim == 3)
        return dataset.framed(self.frame, as_they_are=plain, file=file)

    def frame(self, image: Image.Image) -> NDArray[np.uint8]:
        """The part of the image that the model sees, (H, W, 3) uint8 RGB or (H, W) uint8 grey."""
        size = self._resized(image.size)
        image = image.convert("L" if self.channels == "L" else "RGB")
        if size is not None:
            image = image.resize(size, Image.Resampling[self.interpolation.upper()])
        if self.crop is not None:
            left, top = (round((side - self.crop) / 2) for side in image.size)
            image = image.crop((left, top, left + self.crop, top + self.crop))
        return np.asarray(image)

    def _resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """(width, height) of an image after resizing, None without it; InputError if nobody can mean that."""
        if not isinstance(self.resize, int):
            return self.resize
        short, long = min(size), max(size)
        if long > MOST_TIMES_AS_LONG * short:
            raise InputError(
                f"it has {size[0]} × {size[1]} pixels, one side more than {MOST_TIMES_AS_LONG} times the other: cut it to"
                " what the network is to see"
            )
        # As torchvision does it: the longer side is rounded down.
        return self.resize * size[0] // short, self.resize * size[1] // short

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """8-bit pixels, (…, H, W, 3) RGB or (…, H, W) grey → (…, C, H, W) float32."""
        if self.channels == "L":
            pixels = pixels[..., None]
        elif self.channels == "BGR":
            pixels = pixels[..., ::-1]
        mean, std = (np.array(x, dtype=np.float32) for x in (self.mean, self.std))
        scaled = (pixels * np.float32(self.white / 255.0) - mean) / std
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


_IMAGENET = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0, 256, 224)

#: Name → preprocessing of images from files.
PREPROCESSINGS: dict[str, Preprocessing] = {
    # Caffe's reference models: images warped to 256 × 256, the centre 227 × 227, BGR, the mean colour of ILSVRC2012
    # subtracted, no scaling.
    "caffe": Preprocessing("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0, (256, 256), 227),
    # The same for networks that take 224 × 224 (GoogLeNet, VGG).
    "caffe-224": Preprocessing("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0, (256, 256), 224),
    # Caffe's LeNet: grey images as they are, scaled by 1/256.
    "caffe-lenet": Preprocessing("L", (0.0,), (1.0,), 255.0 / 256.0, (28, 28)),
    # torchvision's classification reference. Of its own architectures each has what belongs to its published weights
    # (aopc.models.load), to which these two are the alternatives for weights that were trained otherwise.
    "imagenet": _IMAGENET,
    "imagenet-224": _IMAGENET,
    "imagenet-299": replace(_IMAGENET, resize=342, crop=299),
}
