"""Stage ``predict``: choose the images of each panel and let its network classify them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from aopc.base.progress import progress_bar
from aopc.base.provenance import metadata
from aopc.experiment.run import slices
from aopc.models.inference import predict
from aopc.models.network import stored_network
from aopc.paper.folders import PART_IMAGES
from aopc.paper.panel import Panel, chosen_images, network_file, require_other_images, test_split

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    seed, limit = settings.seed, settings.limit
    seen: dict[str, set[bytes]] = {}
    for name, panel in settings.panels.items():
        file = network_file(panel.network)
        network, logits = stored_network(file).on(), []
        chosen = chosen_images(test_split(name), panel.images, limit, seed, name)
        if panel.stands_for is not None:
            require_other_images(seen, chosen, name)
        dataset = network.preprocessing.framed(chosen).distinct(name)
        with progress_bar(len(dataset), f"predict {name}") as progress:
            for rows in slices(len(dataset), PART_IMAGES):
                inputs = network.inputs(np.asarray(dataset.pixels[rows]))
                logits.append(predict(network.model, inputs, image_ids=dataset.ids[rows]))
                progress(len(inputs))
        used = {"panel": name, "seed": seed, "limit": limit, **asdict(panel)}
        run.params[name], origin = used, metadata(used, __name__)
        accuracy = Panel(name).save(dataset, file, network.preprocessing, np.concatenate(logits), origin)
        run.metrics |= {} if accuracy is None else {f"{name}_accuracy": accuracy}
        print(f"{name}: {'no labels' if accuracy is None else f'accuracy {accuracy:.1%}'} on {len(dataset)} images")
