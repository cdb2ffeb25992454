"""The user's own images as a data set of the pipeline."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from aopc.datasets.dataset import Dataset
from aopc.datasets.folder import image_folder
from aopc.datasets.subset import Subset
from aopc.errors import InputError


def own_images(
    *, split: str, seed: int, folder: str, count: int | None = None, size: int | None = None
) -> Dataset:
    """Image files of any kind; where they lie in subfolders, these are their classes.

    Parameters
    ----------
    split
        Not used: each split names its folder.
    seed
        Of the sample.
    folder
        From the profile's folder, or absolute.
    count
        A random sample of so many; None: all.
    size
        Side in pixels of the square to which every image is scaled and cut, for networks that are
        trained here; None: the files stay as they are, and preprocessing belongs to the network.

    Raises
    ------
    InputError
        If there is no such folder, a file in it is no whole image, or some images lie in class
        folders and some beside them.
    """
    if size is not None and size < 1:
        raise InputError(f"the size of the images must be at least 1; got {size}")
    every = image_folder(Path(folder))
    images = every if count is None else every.subset(Subset(count, "sample", seed))
    classes = sorted({i.rpartition("/")[0].rpartition("/")[2] for i in every.ids})
    if len(classes) > 1 and "" in classes:
        stray = next(i for i in every.ids if "/" not in i)
        raise InputError(
            f"{folder} has class folders, but also images outside of them, such as {stray}: move them"
        )
    labels = images.labels(classes) if len(classes) > 1 else None
    dataset = Dataset(
        images,
        None if labels is None else np.array(labels, dtype=np.int64),
        images.ids,
        () if labels is None else tuple(classes),
    )
    if size is None:
        return dataset

    def square(image: Image.Image) -> np.ndarray:
        return np.asarray(
            ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
        )

    return dataset.framed(square)
