"""Stage ``digits``: Figures 1 and 3, digits on a network with pooling and on one without."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from aopc.paper.digit_figures import FOLDER, measure_similarity, write_figure1, write_figure3
from aopc.paper.panel import chosen_images, test_split
from aopc.paper.stored import network_of

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    own = settings.digits
    if own is None:
        return
    run.params, test = asdict(own), test_split(own.data_set)
    dataset = chosen_images(test, own.images, settings.limit, settings.seed, "digits")
    pooling, without_pooling = (network_of(settings, name) for name in (own.network, own.without_pooling))
    measure_similarity(run, dataset, pooling, without_pooling)
    write_figure1(pooling, test)
    write_figure3(without_pooling, test)
