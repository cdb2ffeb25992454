"""From an image to the model's input."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aopc.data.dataset import Dataset
from aopc.data.folder import image_folder
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from image_files import picture


def prepared(name: str, image: Image.Image) -> np.ndarray:
    """What a network with this preprocessing is given."""
    preprocessing = PREPROCESSINGS[name]
    return preprocessing.normalise(preprocessing.frame(image))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_any_mode_become_colour(tmp_path: Path, mode: str) -> None:
    path = picture(tmp_path / ("x.jpg" if mode == "CMYK" else "x.png"), mode)
    found = prepared("caffe", image_folder(tmp_path).load(path.name))
    assert found.dtype == np.float32
    assert found.shape == (3, 227, 227)


def test_caffe_preprocessing_equals_its_definition(tmp_path: Path) -> None:
    """Warp to 256 × 256, centre 227 × 227, BGR, mean (104, 117, 123), no scaling.

    Swapped channels or a missing mean still give plausible accuracy, so each step is checked.
    """
    image = Image.open(picture(tmp_path / "x.png", size=(300, 200)))
    rgb = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR)).astype(float)
    crop = rgb[14 : 14 + 227, 14 : 14 + 227]
    expected = np.stack([crop[..., 2] - 104, crop[..., 1] - 117, crop[..., 0] - 123])
    np.testing.assert_allclose(prepared("caffe", image), expected, atol=1e-4)


def test_caffe_preprocessing_of_pure_colours() -> None:
    """Pure blue comes first and highest; black and white are the ends of the value range."""
    prepare = PREPROCESSINGS["caffe"]
    blue = prepared("caffe", Image.new("RGB", (300, 300), (0, 0, 255)))[:, 0, 0]
    np.testing.assert_allclose(blue, [255 - 104, -117, -123])
    for colour, end in ((0, prepare.value_range.low), (255, prepare.value_range.high)):
        value = prepared("caffe", Image.new("RGB", (300, 300), (colour,) * 3))[:, 5, 5]
        np.testing.assert_allclose(value, end, rtol=1e-6)


@pytest.mark.parametrize("size", [(400, 300), (640, 427), (450, 338), (333, 500), (1024, 683)])
def test_imagenet_preprocessing_equals_torchvisions(size: tuple[int, int]) -> None:
    from torchvision.models import SqueezeNet1_0_Weights

    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    theirs = SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()(image)
    np.testing.assert_allclose(prepared("imagenet", image), theirs, atol=1e-5)


def test_arrays_are_framed_for_networks_that_want_another_size() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    data = Dataset(images, None, tuple("abc"), ())
    plain = Preprocessing("RGB", (0.0,) * 3, (1.0,) * 3, 1.0)
    assert plain.framed(data) is data
    framed = PREPROCESSINGS["caffe"].framed(data)
    assert framed.pixels.shape == (3, 227, 227, 3)
    expected = PREPROCESSINGS["caffe"].frame(Image.fromarray(images[1]))
    np.testing.assert_array_equal(framed.pixels[1], expected)
