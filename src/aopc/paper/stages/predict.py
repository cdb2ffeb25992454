"""Stage ``predict``: choose the images of each panel and let its network classify them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from aopc.base.provenance import metadata
from aopc.paper.notes import on_predictions
from aopc.paper.panel import Panel, chosen_images, network_file, require_other_images, test_split
from aopc.paper.predictions import scores_of
from aopc.paper.stored import network_of

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    seed, limit = settings.seed, settings.limit
    seen: dict[str, set[bytes]] = {}
    for name, panel in settings.panels.items():
        network = network_of(settings, panel.network)
        chosen = chosen_images(test_split(name), panel.images, limit, seed, name)
        if panel.stands_for is not None:
            require_other_images(seen, chosen, name)
        dataset = network.preprocessing.framed(chosen).distinct(name)
        scores = scores_of(network, dataset, name)
        used = {"panel": name, "seed": seed, "limit": limit, **asdict(panel)}
        run.params[name], origin = used, metadata(used, __name__)
        accuracy = Panel(name).save(dataset, network_file(panel.network), network.preprocessing, scores, origin)
        on_predictions(run, name, accuracy, *scores.shape)
