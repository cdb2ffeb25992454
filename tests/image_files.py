"""Images and archives of them, for tests of data sets."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from aopc.base.names import resolve
from aopc.data.dataset import Dataset
from aopc.data.sources import SOURCES


def jpeg(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """An image that tells its number by its grey."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number, number, number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (60, 40), seed: int = 0) -> Path:
    """A file of random pixels."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(path)
    return path


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """An archive of files by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def get(source: str, **settings: object) -> Dataset:
    """The test split of a source."""
    return resolve("source", SOURCES, source)(split="test", seed=0, **settings)


def greys(dataset: Dataset) -> list[int]:
    """The numbers of :func:`jpeg`."""
    return [round(np.asarray(dataset.images.load(i)).mean()) for i in dataset.ids]
