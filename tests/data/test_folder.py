"""Folders of image files: what is listed, how images are read, and lists of classes."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aopc
from aopc.data.classes import read_classes
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from image_files import picture


def test_folders_are_listed_sampled_and_labelled(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.PNG", "dog/1.jpeg"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    folder = image_folder(tmp_path)
    assert folder.ids == ("cat/1.png", "cat/2.PNG", "dog/1.jpeg")
    np.testing.assert_array_equal(folder.labels(["dog", "cat"]), [1, 1, 0])
    assert folder.labels(["cow"]) is None
    with pytest.raises(aopc.InputError, match="lacks the class 'cat'"):
        folder.labels(["dog"])
    assert folder.subset(Subset(2, "first")).ids == folder.ids[:2]
    assert folder.subset(Subset(2, "sample", 0)) == folder.subset(Subset(2, "sample", 0))
    assert len({folder.subset(Subset(1, "sample", seed)).ids for seed in range(20)}) == 3


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = picture(tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    folder = image_folder(tmp_path)
    assert folder.load("whole.png").size == (60, 40)
    for name in ("half.png", "text.jpg", "missing.png"):
        with pytest.raises(aopc.InputError, match=name.replace(".", r"\.")) as caught:
            folder.load(name)
        assert "\n" not in str(caught.value)
    with pytest.raises(aopc.InputError, match="no folder"):
        image_folder(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(aopc.InputError, match="no images"):
        image_folder(tmp_path / "empty")


def test_sixteen_bit_grey_keeps_its_greys(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    loaded = np.asarray(image_folder(tmp_path).load("deep.png"))
    np.testing.assert_array_equal(loaded[0], np.arange(256))
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(aopc.InputError, match="no known white"):
        image_folder(tmp_path).load("float.tiff")


def test_class_lists_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("n1 cat\nn2 dog\n")
    assert read_classes(path) == ["n1", "n2"]
    for text, message in (
        ("", "one class a line"),
        ("a\n\nb\n", "no empty line"),
        ("a x\na y\n", "twice"),
    ):
        path.write_text(text)
        with pytest.raises(aopc.InputError, match=message):
            read_classes(path)
    with pytest.raises(aopc.InputError, match="no class list"):
        read_classes(tmp_path / "none.txt")


def test_images_show_as_in_a_viewer(tmp_path: Path) -> None:
    """Every mode: the colour that a viewer shows at the middle of the image."""
    red = Image.new("RGB", (20, 10), (200, 0, 0))
    clear = Image.new("RGBA", (20, 10), (200, 0, 0, 0))
    half = Image.new("RGBA", (20, 10), (200, 0, 0, 128))
    palette = Image.new("P", (20, 10), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    expected = {
        "rgb.png": (red, (200, 0, 0)),
        "grey.png": (Image.new("L", (20, 10), 77), (77, 77, 77)),
        "one-bit.png": (Image.new("1", (20, 10), 1), (255, 255, 255)),
        "grey-alpha.png": (Image.new("LA", (20, 10), (77, 0)), (255, 255, 255)),
        "clear.png": (clear, (255, 255, 255)),
        "half.png": (half, (227, 127, 127)),
        "palette.gif": (palette, (200, 0, 0)),
        "cmyk.jpg": (Image.new("CMYK", (20, 10), (0, 255, 255, 55)), (200, 0, 0)),
        "ycbcr.jpg": (red.convert("YCbCr"), (200, 0, 0)),
        "sixteen.png": (
            Image.fromarray(np.full((10, 20), 77 * 257, np.uint16)),
            (77, 77, 77),
        ),
        "webp.webp": (half, (227, 127, 127)),
    }
    for name, (image, _) in expected.items():
        options = {"quality": 100} if name.endswith("jpg") else {}
        image.save(tmp_path / name, **options, **({"lossless": True} if "webp" in name else {}))
    palette.save(tmp_path / "transparent.png", transparency=1)
    expected["transparent.png"] = (palette, (255, 255, 255))
    folder = image_folder(tmp_path)
    assert len(folder) == len(expected)
    for name, (_, colour) in expected.items():
        pixel = folder.load(name).convert("RGB").getpixel((10, 5))
        np.testing.assert_allclose(pixel, colour, atol=3, err_msg=name)


def test_a_wrong_exif_tag_does_not_hide_the_image(tmp_path: Path) -> None:
    """Cameras write tags of wrong types; the orientation is good all the same."""
    # EXIF's bytes: orientation 6, and ResolutionUnit, a number by the standard, as a text.
    entries = [(0x0112, 3, 1, b"\6\0\0\0"), (0x0128, 2, 4, b"abc\0")]
    tags = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tags + bytes(4)
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert image_folder(tmp_path).load("a.jpg").size == (10, 20)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_in_every_mode(tmp_path: Path, name: str, mode: str, orientation: int) -> None:
    if name == "a.jpg" and mode in ("RGBA", "I;16"):
        pytest.skip("JPEG has no such mode")
    left_is_bright = np.zeros((16, 32), np.uint8)
    left_is_bright[:, :8] = 255
    image = Image.fromarray(left_is_bright).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(left_is_bright.astype(np.uint16) * 257)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif)
    upright = np.asarray(image_folder(tmp_path).load(name).convert("L"))
    # TIFF 6.0: the stored rows and columns are, upright, 3: bottom and right; 6: right and top;
    # 8: left and bottom.
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    np.testing.assert_allclose(upright, np.rot90(left_is_bright, turns), atol=25)


def _tag(path: Path, tag: int, value: int) -> None:
    """Set a tag of one short in a TIFF file (TIFF 6.0, section 2)."""
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<HHI", tag, 3, 1)) + 8
    content[at : at + 2] = struct.pack("<H", value)
    path.write_bytes(content)


def test_grey_of_more_than_eight_bits_is_scaled_by_its_own_white(tmp_path: Path) -> None:
    path, grey = tmp_path / "a.tif", np.full((8, 8), 100 * 257, np.uint16)
    Image.fromarray(grey).save(path)
    _tag(path, 262, 0)  # white is 0
    assert np.unique(image_folder(tmp_path).load("a.tif")) == [155]
    # Rows of 12 bits, two values in three bytes: 0x640 of 0xfff is 100 of 255.
    Image.fromarray(grey).save(path)
    _tag(path, 258, 12)
    content = path.read_bytes()
    path.write_bytes(content.replace(grey.tobytes(), bytes.fromhex("640640") * 32 + bytes(32)))
    assert np.unique(image_folder(tmp_path).load("a.tif")) == [100]


def test_a_transparent_grey_of_sixteen_bits_is_white(tmp_path: Path) -> None:
    grey = np.full((4, 4), 100 * 257, np.uint16)
    grey[0] += 1
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=100 * 257)
    shown = np.asarray(image_folder(tmp_path).load("a.png").convert("L"))
    assert shown[0].tolist() == [100] * 4
    assert shown[1:].min() == 255


def _png(depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """4 × 4 pixels (PNG specification, section 5)."""
    head = (b"IHDR", struct.pack(">IIBBBBB", 4, 4, depth, colour, 0, 0, 0))
    parts = [head, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    written = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


_DEEP = (b"\0" + struct.pack(">HHH", 1000, 2000, 3000) * 4) * 4
_TEXT = (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))
_GIF = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "none of BMP, GIF, JPEG, PNG, TIFF, WEBP, or damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "none of BMP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "none of BMP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n", "none of BMP"),
        (b"P6 4 4 255\n" + bytes(48), "none of BMP"),
        (_png(16, 2, _DEEP, (b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))), "transparent colour has 16 bits"),
        (_png(8, 2, bytes(52), _TEXT), "too large"),
        (_png(8, 2, bytes(52))[:33].replace(struct.pack(">II", 4, 4), b"\x7f\xff\xff\xff" * 2), "none of BMP"),
        (_GIF + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02\x4c\x01\0;", "is too large: scale it down"),
        (_GIF[:6] + struct.pack("<HH", 9, 9) + _GIF[10:] + struct.pack("<HHHH", 0, 0, 60000, 2000), "cannot read"),
        (b"BM" + bytes(8) + struct.pack("<IIiiHHIIiiII", 54, 40, 2**31 - 1, 2**30, 1, 24, *[0] * 6), "too large"),
        (b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x100, 4, 1, 8, 8), "none of BMP"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_whole_image_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(aopc.InputError) as caught:
        image_folder(tmp_path).load("a.png")
    assert said in str(caught.value)
    assert str(caught.value).count(str(tmp_path)) == 1
    assert "object at 0x" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}])
def test_libraries_say_nothing_beside_the_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: dict[str, str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(noise).save(path, **options)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(aopc.InputError, match="cannot read the image"):
        image_folder(tmp_path).load("a.tif")
    path.unlink()
    # An orientation whose values are said to lie behind the file's end.
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 2**31, 8, 0)
    Image.fromarray(noise).save(tmp_path / "a.jpg", exif=exif)
    assert image_folder(tmp_path).load("a.jpg").size == (50, 40)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [RuntimeError("decoder"), IndexError(), KeyError("x"), TypeError("y"), EOFError()])
def test_a_reader_may_fail_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """As that for AVIF does with a RuntimeError."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def fail(image: Image.Image) -> None:
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(aopc.InputError, match=r"cannot read the image .*a\.png"):
        image_folder(tmp_path).load("a.png")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**37)  # takes no place on the disk
    with pytest.raises(aopc.InputError, match=r"a\.png is too large: its file has 137\.4 GB"):
        image_folder(tmp_path).load("a.png")
