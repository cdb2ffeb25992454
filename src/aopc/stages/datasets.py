"""Stage: get one data set."""

from typing import Any

from aopc.datasets import SOURCES
from aopc.datasets.dataset import Dataset
from aopc.errors import InputError
from aopc.registry import nearest, resolve
from aopc.settings import call, typed
from aopc.stages.stage import DATA, section
from aopc.tracking.journal import StageRun

SPLITS = ("train", "test")


def work(run: StageRun, params: dict[str, Any], name: str) -> None:
    settings = section(params, "datasets", name)
    chosen = typed(section(params, "datasets", name, "source"), str, f"datasets.{name}.source")
    source = resolve("data set source", SOURCES, chosen)
    seed = section(params, "seed")
    run.params = {"seed": seed, **settings}
    for split in settings:
        if split not in ("source", *SPLITS):
            raise InputError(
                f"params.yaml: datasets.{name} has no split {split!r}: {nearest(split, SPLITS)}"
            )
    for split in SPLITS:
        if split in settings:
            where = f"params.yaml: datasets.{name}.{split}"
            dataset: Dataset = call(source, where, settings[split], split=split, seed=seed)
            dataset.save(DATA / "datasets" / name / split, {"split": split, **run.params})
            run.metrics[f"{split}_images"] = len(dataset)
