"""Stage ``networks``: the networks for one data set, trained here, published, or the user's own."""

from typing import TYPE_CHECKING

from aopc.paper.folders import DATA
from aopc.paper.networks import write_network

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings", name: str) -> None:
    for label, own in settings.networks[name].items():
        run.params[label] = {**settings.raw["networks"][name][label], "seed": settings.seed}
        write_network(run, own, DATA / "networks" / name, label, name)
