"""What a panel's network says of its images."""

import numpy as np
from numpy.typing import NDArray

from aopc.base.progress import progress_bar
from aopc.data.dataset import Dataset
from aopc.experiment.run import slices
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
