"""Stage ``predict``: choose the images of each panel and let its network classify them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from aopc.base.progress import progress_bar
from aopc.base.provenance import metadata
from aopc.experiment.run import slices
from aopc.models.inference import predict
from aopc.models.network import stored_network
from aopc.models.outputs import require_classes
from aopc.paper.folders import PART_IMAGES
from aopc.paper.notes import on_predictions
from aopc.paper.panel import Panel, chosen_images, network_file, test_split

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    seed, limit = settings.seed, settings.limit
    for name, panel in settings.panels.items():
        file = network_file(panel.network)
        network, logits = stored_network(file).on(), []
        chosen = chosen_images(test_split(name), panel.images, limit, seed, name)
        dataset = network.preprocessing.framed(chosen)
        with progress_bar(len(dataset), f"predict {name}") as progress:
            for rows in slices(len(dataset), PART_IMAGES):
                inputs = network.inputs(np.asarray(dataset.pixels[rows]))
                logits.append(predict(network.model, inputs, image_ids=dataset.ids[rows]))
                progress(len(inputs))
        used = {"panel": name, "seed": seed, "limit": limit, **asdict(panel)}
        run.params[name], origin = used, metadata(used, __name__)
        whole = np.concatenate(logits)
        require_classes(whole)
        accuracy = Panel(name).save(dataset, file, network.preprocessing, whole, origin)
        on_predictions(run, name, accuracy, *whole.shape)
