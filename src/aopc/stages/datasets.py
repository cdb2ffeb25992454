"""Stage: get one data set."""

from typing import Any

from aopc.datasets import SOURCES
from aopc.registry import resolve
from aopc.stages.stage import DATA, section
from aopc.tracking.journal import StageRun


def work(run: StageRun, params: dict[str, Any], name: str) -> None:
    settings = section(params, "datasets", name)
    source = resolve("data set source", SOURCES, section(params, "datasets", name, "source"))
    run.params = {"seed": params["seed"], **settings}
    for split in ("train", "test"):
        if split in settings:
            dataset = source(split=split, seed=params["seed"], **settings[split])
            dataset.save(DATA / "datasets" / name / split, {"split": split, **run.params})
            run.metrics[f"{split}_images"] = len(dataset)
