"""Stage ``checkpoints``: AOPC and accuracy of one network at several points of its training."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from aopc.data.dataset import Dataset
from aopc.paper.folders import DATA
from aopc.paper.panel import chosen_images, require_same_classes, test_split
from aopc.paper.training_run import follow

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    (DATA / "checkpoints").mkdir(parents=True, exist_ok=True)
    for name, own in settings.checkpoints.items():
        protocol, test = own.protocol(settings.perturbation), test_split(name)
        require_same_classes(Dataset.load(DATA / "datasets" / name / "train"), test, name)
        images = chosen_images(test, own.images, settings.limit, settings.seed, name)
        iterations = settings.checkpoint_iterations(name)
        run.params[name] = {**asdict(own), **protocol.as_parameters()}
        architecture = settings.architecture_of(f"{name}/{own.network}")
        found = follow(name, own, iterations, protocol, images, test, architecture)
        for measure, values in found.items():
            run.curves[f"{name}_{measure}"] = values
        for iteration, reached, mean in zip(iterations, found["accuracy"], found["aopc"], strict=True):
            said = f"accuracy {reached:.1%}, AOPC {mean:.2f}"
            print(f"{name} {own.network}, iteration {iteration}: {said}")
