"""The user's own images: any folder, flat or with one subfolder a class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aopc.errors import InputError
from aopc.streams import Stream

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ImageFolder:
    """Image files under a folder, in the order of their names.

    Attributes
    ----------
    root
        The folder.
    ids
        Paths below it, with forward slashes. They key the random values of an image.
    """

    root: Path
    ids: tuple[str, ...]

    def load(self, image_id: str) -> Image.Image:
        """The image, turned upright by its EXIF orientation; 16-bit grey becomes 8-bit.

        Raises
        ------
        InputError
            If the file is missing or is not a whole image.
        """
        path = self.root / image_id
        try:
            with Image.open(path) as image:
                image.load()
                return ImageOps.exif_transpose(_eight_bit(image))
        except FileNotFoundError as error:
            raise InputError(f"there is no image {path}") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise InputError(
                f"cannot read the image {path}: replace or remove it ({error})"
            ) from error
        except Image.DecompressionBombError as error:
            raise InputError(f"the image {path} is too large: scale it down ({error})") from error

    def sample(self, count: int, seed: int) -> "ImageFolder":
        """A random sample without replacement, in the order of names."""
        chosen = Stream(seed, "sample").permutation(len(self.ids))[: self._at_most(count)]
        return ImageFolder(self.root, tuple(self.ids[i] for i in np.sort(chosen)))

    def first(self, count: int) -> "ImageFolder":
        """The first images in the order of names."""
        return ImageFolder(self.root, self.ids[: self._at_most(count)])

    def _at_most(self, count: int) -> int:
        if count < 1:
            raise InputError(f"the number of images must be at least 1; got {count}")
        return min(count, len(self.ids))

    def labels(self, class_ids: list[str]) -> list[int] | None:
        """The class of each image by its subfolder's name, None if a subfolder is not a class."""
        index = {name: i for i, name in enumerate(class_ids)}
        folders = [name.rpartition("/")[0].rpartition("/")[2] for name in self.ids]
        return [index[f] for f in folders] if all(f in index for f in folders) else None


def image_folder(root: Path) -> ImageFolder:
    """All images under ``root``.

    Raises
    ------
    InputError
        If there is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if _is_image(p))
    if not files:
        raise InputError(f"there are no images in {root} ({', '.join(sorted(SUFFIXES))})")
    return ImageFolder(root, tuple(files))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.floor(np.asarray(image).astype(np.uint16) / 257 + 0.5)
        return Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known white: save it as 8 or 16 bit")
    return image


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")


def read_classes(path: Path) -> list[str]:
    """The class ids in a list of classes: the first word of each line, in the model's order.

    Raises
    ------
    InputError
        If the file is missing, is not text, or a line is empty or repeats a class.
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
    classes = [w[0] for w in words]
    if len(set(classes)) != len(classes):
        repeated = next(c for c in classes if classes.count(c) > 1)
        raise InputError(f"the class list {path} names {repeated!r} twice")
    return classes
