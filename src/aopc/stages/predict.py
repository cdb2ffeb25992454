"""Stage: choose the images of each panel and let its network classify them."""

from dataclasses import asdict
from typing import Any

import numpy as np

from aopc.datasets.folder import ImageFolder
from aopc.models.inference import best_device, predict
from aopc.models.network_file import load_network
from aopc.progress import progress_bar
from aopc.stages.panel import (
    StoredPanel,
    chosen_images,
    load_test_split,
    network_file,
    panel_settings,
)
from aopc.stages.stage import DATA, PART_IMAGES, parts_of, section
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any]) -> None:
    limit = section(params, "limit")
    for name in section(params, "panels"):
        settings = panel_settings(params, name)
        test = load_test_split(name)
        network = network_file(settings.network)
        model, preprocessing = load_network(network)
        model = model.to(best_device())
        chosen = chosen_images(test, settings.images, limit, params, name)
        plain = not isinstance(chosen.images, ImageFolder) and preprocessing.frames_as_they_are(
            chosen.images.shape[1:]
        )
        dataset = chosen.framed(preprocessing.frame, as_they_are=plain)
        parts = []
        with progress_bar(len(dataset), f"predict {name}") as progress:
            for part in parts_of(len(dataset), PART_IMAGES):
                images = preprocessing.normalise(np.asarray(dataset.pixels[part]))
                parts.append(predict(model, images, image_ids=dataset.ids[part]))
                progress(len(images))
        used = {"panel": name, "seed": params["seed"], "limit": limit, **asdict(settings)}
        accuracy = StoredPanel(DATA / "panels" / name).save(
            dataset, network, np.concatenate(parts), used
        )
        run.params[name] = used
        if accuracy is not None:
            run.metrics[f"{name}_accuracy"] = accuracy
        said = "no labels" if accuracy is None else f"accuracy {accuracy:.1%}"
        print(f"{name}: {said} on {len(dataset)} images")
