"""Stage: get one data set."""

from typing import Any

from aopc.datasets import SOURCES
from aopc.datasets.dataset import Dataset
from aopc.registry import call, resolve
from aopc.stages.stage import DATA, section
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], name: str) -> None:
    settings = section(params, "datasets", name)
    source = resolve("data set source", SOURCES, section(params, "datasets", name, "source"))
    run.params = {"seed": params["seed"], **settings}
    for split in ("train", "test"):
        if split in settings:
            given = {"split": split, "seed": params["seed"], **(settings[split] or {})}
            dataset: Dataset = call(source, f"params.yaml: datasets.{name}.{split}", **given)
            dataset.save(DATA / "datasets" / name / split, {"split": split, **run.params})
            run.metrics[f"{split}_images"] = len(dataset)
