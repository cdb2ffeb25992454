"""What a panel's network says of its images, and whether its decisions are worth explaining."""

import numpy as np
from numpy.typing import NDArray

from aopc.base.errors import warned
from aopc.base.progress import progress_bar
from aopc.data.dataset import Dataset
from aopc.experiment.run import slices
from aopc.measures.chance import no_better_than_chance
from aopc.models.inference import predict
from aopc.models.network import Network
from aopc.models.outputs import require_classes
from aopc.paper.folders import PART_IMAGES


def scores_of(network: Network, images: Dataset, name: str) -> NDArray[np.float32]:
    """The class scores of frames, (N, classes); errors as of :func:`aopc.models.inference.predict`, and one if there are
    not several classes.
    """
    scores = []
    with progress_bar(len(images), f"predict {name}") as progress:
        for rows in slices(len(images), PART_IMAGES):
            inputs = network.inputs(np.asarray(images.pixels[rows]))
            scores.append(predict(network.model, inputs, image_ids=images.ids[rows]))
            progress(len(inputs))
    whole = np.concatenate(scores)
    require_classes(whole)
    return whole


def say_accuracy(name: str, accuracy: float | None, scores: NDArray[np.float32]) -> None:
    """On standard output; an accuracy near chance also as a warning."""
    count, classes = scores.shape
    print(f"{name}: {'no labels' if accuracy is None else f'accuracy {accuracy:.1%}'} on {count} images")
    if accuracy is not None:
        warned(no_better_than_chance(round(accuracy * count), count, classes, f"{name}: "))
