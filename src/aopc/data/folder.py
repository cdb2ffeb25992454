"""The user's own images: any folder, flat or with one subfolder a class."""

import struct
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from aopc.base.errors import InputError
from aopc.base.progress import progress_bar
from aopc.base.text import is_plain, shown
from aopc.data.subset import Subset

# Pillow 13.0 scrambles uncompressed TIFF files that are turned by a quarter, unless libtiff reads them.
TiffImagePlugin.READ_LIBTIFF = True

#: Of an image, the largest cameras' among them; each takes up to 12 bytes on the way.
MOST_PIXELS = 2**27
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ImageFolder:
    """Image files under the folder ``root``.

    Attributes
    ----------
    ids
        Their names, which key the random values of an image, in their order.
    paths
        Their places below the folder, with forward slashes; None: the ids are the paths.
    """

    root: Path
    ids: tuple[str, ...]
    paths: tuple[str, ...] | None = None

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
        path = self.path(image_id)
        try:
            with _header(path) as image:
                image.load()
                return _on_white(_eight_bit(_upright(image)))
        except FileNotFoundError as error:
            raise InputError(f"there is no image {path}") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error) as error:
            raise InputError(f"cannot read the image {path}: replace or remove it ({error})") from error

    def subset(self, subset: Subset) -> "ImageFolder":
        """Some of the images, in the order of names; all, where there are no more."""
        return self.take(subset.of(self.ids))

    def take(self, image_ids: Sequence[str]) -> "ImageFolder":
        """These images, in this order."""
        path_of = dict(zip(self.ids, self.paths or self.ids, strict=True))
        paths = None if self.paths is None else tuple(path_of[i] for i in image_ids)
        return ImageFolder(self.root, tuple(image_ids), paths)

    def check(self) -> None:
        """Read every image once, so that a damaged one shows before hours of work. Errors as of :meth:`load`."""
        with progress_bar(len(self), "check images") as progress:
            for image_id in self.ids:
                self.load(image_id)
                progress(1)

    def labels(self, class_ids: list[str]) -> NDArray[np.int64] | None:
        """The class of each image by its subfolder's name, (N,); None if a subfolder is not a class."""
        index, names = {name: i for i, name in enumerate(class_ids)}, self.subfolders
        return np.array([index[n] for n in names], dtype=np.int64) if index.keys() >= set(names) else None


def image_folder(root: Path) -> ImageFolder:
    """All images under ``root``; an InputError if there is no such folder, or no image in it."""
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if _is_image(p))
    if not files:
        raise InputError(f"there are no images in {root} ({', '.join(sorted(SUFFIXES))})")
    for name in files:
        if not is_plain(name):
            raise InputError(f"{root}: the name {shown(name)} has control characters, or is not UTF-8: rename it")
    return ImageFolder(root, tuple(files))


def _header(path: Path) -> Image.Image:
    """The image, not yet decoded; InputError if that would take too much memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
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


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")


def read_class_names(path: Path) -> dict[str, str]:
    """A list of classes in the model's order, one a line: id → what to call the class, which follows the id; the id
    itself where nothing does. An InputError if the file is missing, is not text, or a line is empty or repeats a
    class.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"there is no class list {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the class list {path}: {error}") from error
    words = [line.split() for line in lines]
    if not words or not all(words):
        raise InputError(f"the class list {path} must have one class a line and no empty line")
    repeated = [class_id for class_id, count in Counter(w[0] for w in words).items() if count > 1]
    if repeated:
        raise InputError(f"the class list {path} names {repeated[0]!r} twice")
    names = (line.partition(" ")[2].strip().replace("_", " ") for line in lines)
    return {w[0]: name or w[0] for w, name in zip(words, names, strict=True)}


def read_classes(path: Path) -> list[str]:
    """The class ids in a list of classes, in the model's order. Errors as of :func:`read_class_names`."""
    return list(read_class_names(path))
