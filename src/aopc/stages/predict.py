"""Stage: choose the images of each panel and let its network classify them."""

from typing import Any

import numpy as np

from aopc.datasets.dataset import Dataset
from aopc.errors import InputError
from aopc.models.inference import best_device, predict
from aopc.models.network_file import load_network
from aopc.stages.panel import EXPLAINED, StoredPanel
from aopc.stages.stage import DATA, section
from aopc.streams import Stream
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    for name, settings in section(params, "panels").items():
        test = Dataset.load(DATA / "datasets" / name / "test")
        count = min(settings["images"], len(test))
        order = Stream(params["seed"], "panel", name).permutation(len(test))
        dataset = test.take(np.sort(order[:count]))
        network = DATA / "networks" / settings["network"] / EXPLAINED
        if not network.is_file():
            raise InputError(
                f"params.yaml: panel {name} wants the network {settings['network']!r}, which no"
                " section of networks trains"
            )
        model, preprocessing = load_network(network)
        images = preprocessing.normalise(np.asarray(dataset.images))
        logits = predict(model.to(best_device()), images, image_ids=dataset.ids)
        used = {"panel": name, "seed": params["seed"], **settings}
        accuracy = StoredPanel(DATA / "panels" / name).save(dataset, network, logits, used)
        run.params[name] = used
        run.metrics[f"{name}_accuracy"] = accuracy
        print(f"{name}: accuracy {accuracy:.1%} on {count} images")
