"""``aopc plan``: what a profile will download, what it needs on disk, and how long it will take."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from aopc.base.names import resolve
from aopc.base.places import downloads_folder
from aopc.base.random import Stream
from aopc.base.text import readable, without_secrets
from aopc.data.dataset import Dataset
from aopc.data.downloads.fetch import is_here
from aopc.data.downloads.source import Source
from aopc.data.sources import DOWNLOADS, SPLITS
from aopc.data.sources.torchvision_sets import mnist_folder
from aopc.experiment.estimate import calibrate_curves, duration
from aopc.experiment.evaluate import PART_IMAGES
from aopc.experiment.explaining import explained
from aopc.experiment.subject import Subject
from aopc.explainers.registry import get_explainers
from aopc.models.caffe.published import CaffeWeights, weights_named
from aopc.models.inference import best_device, default_batch_size
from aopc.models.network import Network, build
from aopc.models.preprocessing import PREPROCESSINGS
from aopc.paper.settings import Published

if TYPE_CHECKING:
    from aopc.paper.settings import Settings


@dataclass(frozen=True)
class PanelWork:
    """The work on one panel.

    Attributes
    ----------
    name, network
        As params.yaml has them.
    weights
        Of the network, where they are known before it is there.
    images, forwards
        How many.
    stored
        Bytes of frames, heatmaps and curves.
    """

    name: str
    network: str
    weights: CaffeWeights | None
    images: int
    forwards: int
    stored: int


@dataclass(frozen=True)
class Needed:
    """A file that a profile downloads, to which folder, and how many images are taken from it."""

    source: Source
    folder: Path
    images: int = 0

    @property
    def here(self) -> bool:
        return is_here(self.source, self.folder)


def needed_files(settings: "Settings") -> list[Needed]:
    """The files that the profile downloads."""
    found: dict[str, Needed] = {}
    for data_set in [d for d in settings.datasets.values() if d.source in DOWNLOADS]:
        needed = resolve("data set source", DOWNLOADS, data_set.source)
        folder = mnist_folder() if data_set.source == "mnist" else downloads_folder()
        for split in [s for s in SPLITS if s in data_set.splits]:
            given = data_set.splits[split]
            for file in needed(split, given):
                found[file.name] = Needed(file, folder, int(given.get("count") or 0))
    for networks in settings.networks.values():
        for label, network in networks.items():
            if isinstance(network, Published):
                file = weights_named(network.weights).source.changed(network.archive, f"the archive of {label}")
                found[file.name] = Needed(file, downloads_folder())
    return list(found.values())


def panels(settings: "Settings") -> list[PanelWork]:
    """The work on each panel."""
    explainers, protocol, controls = settings.explainers, settings.perturbation, settings.controls
    get_explainers(explainers)
    judged = sum(protocol.trajectories(e) for e in explainers)
    other = replace(protocol, repeats=controls.repeats, random_orders=controls.random_orders)
    conditions = controls.conditions(explainers, protocol)
    controlled = sum(condition.of(other).trajectories(e) for condition, names in conditions for e in names)
    result = []
    for name, panel in settings.panels.items():
        data_set, _, label = panel.network.partition("/")
        network = settings.networks[data_set][label]
        weights = weights_named(network.weights) if isinstance(network, Published) else None
        counts = [x for x in (panel.images, settings.limit) if x is not None]
        images = min(counts or [_test_images(settings, name)])
        curves = images * judged + min(images, controls.images) * controlled
        pixels = images * (weights.preprocessing.crop or 0) ** 2 if weights else 0
        stored = pixels * (3 + 4 * len(explainers)) + 8 * curves * (protocol.steps + 1)
        result.append(PanelWork(name, panel.network, weights, images, curves * protocol.steps, stored))
    return result


def _test_images(settings: "Settings", name: str) -> int:
    """How many images a data set's test split has, as far as its settings say; 0: not known."""
    given = settings.datasets[name].splits.get("test", {})
    return int(given.get("count") or given.get("images") or 0)


def plan(settings: "Settings", rate: float | None = None, seconds: float = 5.0) -> str:
    """The plan as text; InputError if a setting of a download or the name of weights is wrong.

    ``rate`` is in forwards/s; None: each network's is measured here, for so many ``seconds``.
    """
    files, work = needed_files(settings), panels(settings)
    return "\n".join([*_downloads(files), "", _disk(files, work), "", *_time(settings, work, rate, seconds)])


def _downloads(files: list[Needed]) -> list[str]:
    lines = [f"Downloads, to {downloads_folder()}:"] if files else ["Nothing to download."]
    for file in files:
        source = file.source
        about = "" if source.size else "about "
        state = "is here" if file.here else ("to download" if source.urls else "needs an account")
        some = file.images and source.images
        taken = f"; {file.images} of its {source.images} images are taken" if some else ""
        known = f"its size, {source.size} bytes, is checked" if source.size else "what arrives is noted"
        lines += [
            f"  {source.name}: {about}{readable(source.bytes)}, {state}{taken}",
            f"    checksum {source.checksum or f'none published; {known}'}",
            f"    {source.licence}; {source.page}",
            *(f"    {without_secrets(url)}" for url in source.urls if not file.here),
        ]
    return lines


def _disk(files: list[Needed], work: list[PanelWork]) -> str:
    folder = downloads_folder()
    missing = sum(f.source.bytes for f in files if not f.here)
    # Once beside the archive, once as the data set, once in DVC's cache.
    chosen = 3 * sum(f.source.bytes * f.images // f.source.images for f in files if f.source.images)
    # As outputs and in DVC's cache.
    stored = 2 * sum(p.stored for p in work)
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
    need = missing + chosen + stored
    enough = "" if free > need else "; NOT ENOUGH: AOPC_DOWNLOADS names another folder for downloads"
    return (
        f"Disk: {readable(need)} ({readable(missing)} downloads, {readable(chosen)} chosen images, {readable(stored)}"
        f" frames, heatmaps and curves, with DVC's copies); {readable(free)} are free{enough}"
    )


def _time(settings: "Settings", work: list[PanelWork], rate: float | None, seconds: float) -> list[str]:
    on_cpu, protocol = best_device().type == "cpu", settings.perturbation
    name = "this machine's CPU" if on_cpu else torch.cuda.get_device_name()
    lines = [
        f"Work: {sum(p.forwards for p in work) / 1e6:.1f} million forwards ({len(work)} panels,"
        f" {len(settings.explainers)} orders, {protocol.repeats} repeats, {protocol.steps} steps, and the controls)"
    ]
    # Architecture → forwards/s, and seconds an image for all heatmaps.
    measured: dict[str, tuple[float, float]] = {}
    total = 0.0
    for panel in work:
        if rate is not None:
            found, per_heatmaps, how = rate, 0.0, "as given"
        elif panel.weights is None:
            lines.append(f"  {panel.name}: its network is trained first, so there is no estimate")
            continue
        else:
            architecture, how = panel.weights.architectures[0], f"measured on {name}"
            if architecture not in measured:
                measured[architecture] = _measure(settings, panel.name, panel.weights, seconds)
            found, per_heatmaps = measured[architecture]
        lasting = panel.forwards / found + panel.images * per_heatmaps
        total += lasting
        extra = f" and {per_heatmaps:.3f} s an image for all heatmaps" if per_heatmaps else ""
        lines.append(
            f"  {panel.name}: {panel.images} images, {panel.forwards / 1e6:.1f} million forwards at {found:.0f} a"
            f" second ({panel.network}, {how}){extra}: {duration(lasting)}"
        )
    lines.append(f"  In all: {duration(total)}, and downloads, training and Figure 7 besides")
    if rate is None and on_cpu:
        lines.append(
            "  This is without a GPU. On a machine with one, the same command measures it; --rate reckons with a rate"
            " that you know"
        )
    return lines


def _measure(settings: "Settings", panel: str, weights: CaffeWeights, seconds: float) -> tuple[float, float]:
    """(forwards/s of the engine, seconds an image for all heatmaps), with seeded weights."""
    torch.manual_seed(0)
    model, side = build(weights.architectures[0], weights.classes, {}).eval(), weights.preprocessing.crop or 0
    network = Network(model, PREPROCESSINGS["caffe"]).on()
    noise = Stream(0, "calibration").uniform((PART_IMAGES, side, side, 3)) * 256
    images = Dataset(noise.astype(np.uint8), None, tuple(map(str, range(PART_IMAGES))), ())
    subject = Subject(panel, network, images, np.zeros(PART_IMAGES, dtype=np.int64))
    cost = calibrate_curves(subject, settings.protocol(panel), seconds)
    few = slice(0, default_batch_size(network.model, (3, side, side)))
    started = time.perf_counter()
    explained(subject, few, settings.explainers)
    return 1 / cost.per_forward, (time.perf_counter() - started) / few.stop


def profile_folder(path: Path) -> Path:
    """The folder of a profile, which may be named by its dvc.yaml too."""
    return path.parent if path.name in ("dvc.yaml", "params.yaml") else path
