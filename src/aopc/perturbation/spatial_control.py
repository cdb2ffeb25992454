"""Spatial control: orders that are clustered as a heatmap's own, at places that know nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aopc.base.random import Stream
from aopc.perturbation.partition import Grid


def at_random_places(
    heatmaps: NDArray[np.floating], grid: Grid, image_ids: Sequence[str], *, number: int, seed: int
) -> NDArray[np.float32]:
    """Each heatmap at a random place: turned and mirrored at random, and shifted on a torus.

    A compact patch of noise changes a class score less than the same number of regions scattered over the image,
    so part of a heatmap's AOPC comes from how clustered it is, and not from where it points. Shifting on a torus
    keeps the map's values and, but for the seam where opposite borders meet, which of them are neighbours (random
    translation: Lotwick and Silverman 1982), and forgets the place.

    Parameters
    ----------
    heatmaps
        (N, H, W).
    grid
        The regions; whole regions change places with each other, cut-off ones stay.
    image_ids
        N names, which key the shifts.
    number
        Which of the image's random places.
    seed
        Of the shifts. They are the same for all heatmaps of an image.

    Returns
    -------
    (N, H, W) float32, constant on each region: a region's value is its sum over the heatmap.
    """
    rows, columns = grid.height // grid.size, grid.width // grid.size
    scores = grid.scores(heatmaps).reshape(len(heatmaps), grid.rows, grid.columns)
    for map_, name in zip(scores, image_ids, strict=True):
        stream = Stream(seed, "surrogate", name, number)
        down, right, turn, flip = stream.uniform((4,)).astype(np.float64)
        whole = map_[:rows, :columns]
        # A rectangle is itself again after half a turn only.
        turned = np.rot90(whole, int(turn * 4) if rows == columns else 2 * int(turn * 2))
        mirrored = turned[:, ::-1] if flip < 0.5 else turned
        map_[:rows, :columns] = np.roll(mirrored, (int(down * rows), int(right * columns)), axis=(0, 1))
    return scores.reshape(len(heatmaps), -1)[:, grid.region_of_pixel].astype(np.float32)
