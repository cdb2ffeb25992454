"""Stage ``datasets``: get one data set."""

from typing import TYPE_CHECKING

from aopc.base.checked import checked
from aopc.base.names import resolve
from aopc.base.provenance import metadata
from aopc.data.dataset import Dataset
from aopc.data.sources import SOURCES, SPLITS
from aopc.paper.folders import DATA

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings", name: str) -> None:
    own, seed = settings.datasets[name], settings.seed
    source = resolve("data set source", SOURCES, own.source)
    run.params = {"seed": seed, "source": own.source, **own.splits}
    for split in SPLITS:
        if split in own.splits:
            where = f"params.yaml: datasets.{name}.{split}"
            dataset: Dataset = checked(source, where, own.splits[split], split=split, seed=seed)
            origin = metadata({"split": split, **run.params}, __name__)
            dataset.save(DATA / "datasets" / name / split, origin)
            run.metrics[f"{split}_images"] = len(dataset)
