"""The user's own images: any folder, flat or with one subfolder a class."""

import hashlib
import io
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from aopc.base.errors import DamagedError, InputError
from aopc.base.progress import progress_bar
from aopc.data.classes import labels_of
from aopc.data.listing import SUFFIXES, Listing
from aopc.data.subset import Subset

# Pillow 13.0 scrambles uncompressed TIFF files that are turned by a quarter, unless libtiff reads them.
TiffImagePlugin.READ_LIBTIFF = True

#: Of an image, the largest cameras' among them; each takes up to 12 bytes on the way.
MOST_PIXELS = 2**27


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
            with _header(content, path) as image:
                image.load()
                return _on_white(_eight_bit(_upright(image)))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error) as error:
            raise InputError(f"cannot read the image {path}: replace or remove it ({error})") from error

    def read(self, image_id: str) -> bytes:
        """The file as it is; an InputError if it is missing, or not what was copied."""
        path = self.path(image_id)
        try:
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content))
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


def _upright(image: Image.Image) -> Image.Image:
    """Pillow's exif_transpose also writes the other tags anew, and fails where a camera erred in one."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):  # tags that cannot be read at all
        orientation = None
    if not isinstance(orientation, int) or orientation not in _TURNS:
        return image
    turned = image.transpose(_TURNS[orientation])
    turned.info = dict(image.info)
    return turned


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.floor(np.asarray(image).astype(np.uint16) / 257 + 0.5)
        return Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known white: save it as 8 or 16 bit")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """Without transparency: dropping the alpha channel would show what its author hid."""
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
