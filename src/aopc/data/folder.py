"""The user's own images: any folder, flat or with one subfolder a class."""

import hashlib
import io
import os
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from aopc.base.errors import DamagedError, InputError
from aopc.base.progress import progress_bar
from aopc.base.text import readable
from aopc.data.classes import labels_of
from aopc.data.listing import SUFFIXES, Listing
from aopc.data.subset import Subset

# Pillow 13.0 scrambles uncompressed TIFF files that are turned by a quarter, unless libtiff reads them.
TiffImagePlugin.READ_LIBTIFF = True

#: Of an image, the largest cameras' among them; each takes up to 12 bytes on the way.
MOST_PIXELS = 2**27
#: Of a file, which is read whole.
MOST_BYTES = 12 * MOST_PIXELS
#: Pillow's readers of what is listed by suffix. Others start programs (EPS), or read what nobody means by a photograph.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


@dataclass(frozen=True)
class ImageFolder:
    """Image files under the folder ``root``.

    Attributes
    ----------
    ids
        Their names, which key the random values of an image, in their order.
    paths
        Their places below the folder, with forward slashes; None: the ids are the paths.
    left_out
        What else lies there, by reason, and how many.
    digests
        What :func:`content_hash` gave of each, by id, where the files are copies of ours.
    """

    root: Path
    ids: tuple[str, ...]
    paths: tuple[str, ...] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, image_id: str) -> Path:
        """Where an image lies."""
        return self.root / (image_id if self.paths is None else self.paths[self.ids.index(image_id)])

    @property
    def subfolders(self) -> list[str]:
        """The name of the folder that each image lies in, empty where that is the root."""
        return [PurePosixPath(path).parent.name for path in self.paths or self.ids]

    def load(self, image_id: str) -> Image.Image:
        """The image as a viewer shows it, in 8 bits a channel.

        It is turned upright by its EXIF orientation; transparent parts are laid on white; 16-bit grey is scaled to 8
        bits; of several frames it is the first. Grey, palette and CMYK images are left in their mode, which
        preprocessing converts. An InputError if the file is missing or is not a whole image.
        """
        path, content = self.path(image_id), self.read(image_id)
        try:
            with _quietly(), _header(content, path) as image:
                image.load()
                return _on_white(_turned(_eight_bit(image), _orientation(image)))
        except (InputError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            reason = f"it is none of {', '.join(_FORMATS)}, or damaged"
            raise InputError(f"cannot read the image {path}: replace or remove it ({reason})") from error
        # On bytes that are no image each reader fails in whatever way it happens to.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise InputError(f"cannot read the image {path}: replace or remove it ({reason})") from error

    def read(self, image_id: str) -> bytes:
        """The file as it is; an InputError if it is missing, or not what was copied."""
        path = self.path(image_id)
        try:
            if (size := path.stat().st_size) > MOST_BYTES:
                raise InputError(f"the image {path} is too large: its file has {readable(size)}; scale it down")
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"there is no image {path}") from error
        except OSError as error:
            raise InputError(f"cannot read the image {path}: {error.strerror or error}") from error
        if self.digests is not None and self.digests.get(image_id) != content_hash(content):
            raise DamagedError(path, "is damaged: its content is not what was written")
        return content

    def subset(self, subset: Subset) -> "ImageFolder":
        """Some of the images, in the order of names; all, where there are no more."""
        return self.take(subset.of(self.ids))

    def take(self, image_ids: Sequence[str]) -> "ImageFolder":
        """These images, in this order."""
        path_of = dict(zip(self.ids, self.paths or self.ids, strict=True))
        paths = None if self.paths is None else tuple(path_of[i] for i in image_ids)
        return replace(self, ids=tuple(image_ids), paths=paths)

    def check(self) -> None:
        """Read every image once, so that a damaged one shows before hours of work. Errors as of :meth:`load`."""
        with progress_bar(len(self), "check images") as progress:
            for image_id in self.ids:
                self.load(image_id)
                progress(1)

    def labels(self, class_ids: list[str]) -> NDArray[np.int64] | None:
        """The class of each image by its subfolder's name, (N,); None if no subfolder is a class. Rule and errors as of
        :func:`aopc.data.classes.labels_of`.
        """
        return labels_of(self.subfolders, class_ids, self.root)

    def described(self) -> str:
        """How many images and folders there are, and what is left out."""
        folders = sorted({name for name in self.subfolders if name})
        text = f"{len(self)} images" + (f" in {len(folders)} folders" if folders else "")
        return f"{text}; left out: {_counts(self.left_out)}" if self.left_out else text


def image_folder(root: Path) -> ImageFolder:
    """All images under ``root``, by the rules of :mod:`aopc.data.listing`; an InputError if there is no such folder, no
    image in it, or something of which no rule says what it is.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    found = Listing(root)
    if not found.paths:
        left_out = f"; left out: {_counts(found.left_out)}" if found.left_out else ""
        raise InputError(f"there are no images in {root} ({', '.join(sorted(SUFFIXES))}){left_out}")
    ids, paths = tuple(found.paths), tuple(found.paths.values())
    return ImageFolder(root, ids, None if ids == paths else paths, dict(found.left_out))


def content_hash(content: bytes) -> str:
    """Of an image file."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _counts(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))


def _header(content: bytes, path: Path) -> Image.Image:
    """The image, not yet decoded; InputError if that would take too much memory."""
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InputError(f"the image {path} is too large: scale it down ({error})") from error
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width} × {image.height}"
        image.close()
        raise InputError(f"the image {path} is too large: scale it down to {MOST_PIXELS:,} pixels (it has {size})")
    return image


#: EXIF's orientation → what turns the stored image upright (EXIF 2.3, tag 0x0112).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """As EXIF has it; 1 where it says nothing that can be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):  # tags that cannot be read at all
        return 1
    return found if isinstance(found, int) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Pillow's exif_transpose also writes the other tags anew, and fails where a camera erred in one."""
    if orientation not in _TURNS:
        return image
    turned = image.transpose(_TURNS[orientation])
    turned.info = dict(image.info)
    return turned


def _eight_bit(image: Image.Image) -> Image.Image:
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # Pillow has cut the pixels to 8 bits, and not this
        raise ValueError("its transparent colour has 16 bits: save it with 8, or with an alpha channel")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known white: save it as 8 or 16 bit")
    if not image.mode.startswith("I;16"):
        return image
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] - 1
    values = np.asarray(image).astype(np.uint16)
    grey = np.floor(values / (white / 255) + 0.5).astype(np.uint8)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is 0, which Pillow minds in 8 bits only
        grey = 255 - grey
    if clear is None:
        return Image.fromarray(grey)
    return Image.fromarray(np.stack([grey, np.where(values == clear, 0, 255).astype(np.uint8)], axis=-1))


def _on_white(image: Image.Image) -> Image.Image:
    """Without transparency: dropping the alpha channel would show what its author hid."""
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")


@contextmanager
def _quietly() -> Iterator[None]:
    """What is wrong with an image is said in one line, or nothing is wrong with it: libtiff writes to the process'
    standard error by itself, and Pillow warns of tags that no one needs.
    """
    with warnings.catch_warnings(), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        warnings.simplefilter("ignore")
        try:
            before = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
