"""The user's own images as a data set of the pipeline."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from aopc.base.checked import Count, Text
from aopc.base.errors import InputError
from aopc.data.classes import read_class_names
from aopc.data.dataset import Dataset
from aopc.data.folder import image_folder
from aopc.data.subset import Subset


def own_images(
    *,
    split: str,
    seed: int,
    folder: Text,
    count: Count | None = None,
    size: Count | None = None,
    classes: Text | None = None,
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
        Side in pixels of the square to which every image is scaled and cut, for networks that are trained here; None:
        the files stay as they are, and preprocessing belongs to the network.
    classes
        A file that lists the classes in the order of a network's outputs, one a line: the name of their folder, then
        the name to show; None: the folders, by name.

    Raises
    ------
    InputError
        If there is no such folder, a file in it is no whole image, some images lie in class folders and some beside
        them, or a folder is missing in the list of classes.
    """
    if size is not None and size < 1:
        raise InputError(f"the size of the images must be at least 1; got {size}")
    every = image_folder(Path(folder))
    print(f"{folder}: {every.described()}")
    images = every if count is None else every.subset(Subset(count, "sample", seed))
    folders = sorted(set(every.subfolders))
    if len(folders) > 1 and "" in folders:
        stray = next(i for i in every.ids if "/" not in i)
        raise InputError(f"{folder} has class folders, but also images outside of them, such as {stray}: move them")
    shown = {name: name for name in folders} if classes is None else read_class_names(Path(classes))
    known = every.labels(list(shown)) if len(folders) > 1 or classes is not None else None
    if known is None and classes is not None:
        raise InputError(f"{classes} lacks the class {folders[0]!r}, which {folder} has images of")
    labels = images.labels(list(shown)) if len(folders) > 1 else None
    dataset = Dataset(images, labels, images.ids, () if labels is None else tuple(shown.values()))
    if size is None:
        return dataset

    def square(image: Image.Image) -> np.ndarray:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR))

    return dataset.framed(square)
