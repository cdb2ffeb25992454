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
from aopc.data.dataset import Dataset
from aopc.data.downloads.fetch import is_here
from aopc.data.downloads.source import Source, readable
from aopc.data.sources import DOWNLOADS, SPLITS
from aopc.data.sources.torchvision_sets import mnist_folder
from aopc.experiment.estimate import calibrate_curves, duration
from aopc.experiment.evaluate import PART_IMAGES
from aopc.experiment.explaining import explained
from aopc.experiment.subject import Subject
from aopc.explainers.registry import get_explainer
from aopc.models.caffe.published import weights_named
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
        As params.yaml has them; ``architecture`` and ``side`` are the network's, where they are
        known before it is there.
    images, forwards
        How many.
    stored
        Bytes of frames, heatmaps and curves.
    """

    name: str
    network: str
    architecture: str | None
    classes: int
    side: int
    images: int
    forwards: int
    stored: int


@dataclass(frozen=True)
class Needed:
    """A file that a profile downloads, to which folder, and how many images are taken from it."""

    source: Source
    folder: Path
    images: int

    @property
    def here(self) -> bool:
        return is_here(self.source, self.folder)


def needed_files(settings: "Settings") -> list[Needed]:
    """The files that the profile downloads."""
    found: dict[str, Needed] = {}
    for data_set in settings.datasets.values():
        if data_set.source not in DOWNLOADS:
            continue
        needed = resolve("data set source", DOWNLOADS, data_set.source)
        folder = mnist_folder() if data_set.source == "mnist" else downloads_folder()
        for split in SPLITS:
            given = data_set.splits.get(split, {})
            for file in needed(split, given) if split in data_set.splits else ():
                found[file.name] = Needed(file, folder, int(given.get("count") or 0))
    for networks in settings.networks.values():
        for label, network in networks.items():
            if isinstance(network, Published):
                source = weights_named(network.weights).source
                file = source.changed(network.archive, f"the archive of {label}")
                found[file.name] = Needed(file, downloads_folder(), 0)
    return list(found.values())


def panels(settings: "Settings") -> list[PanelWork]:
    """The work on each panel."""
    explainers, protocol, controls = settings.explainers, settings.perturbation, settings.controls
    for explainer in explainers:
        get_explainer(explainer)
    curves = sum(protocol.trajectories(e) for e in explainers)
    other = replace(protocol, repeats=controls.repeats, random_orders=controls.random_orders)
    controlled = sum(
        condition.of(other).trajectories(e)
        for condition, names in controls.conditions(explainers, protocol)
        for e in names
    )
    result = []
    for name, panel in settings.panels.items():
        data_set, _, label = panel.network.partition("/")
        network = settings.networks[data_set][label]
        weights = weights_named(network.weights) if isinstance(network, Published) else None
        side = (weights.preprocessing.crop or 0) if weights else 0
        counts = [x for x in (panel.images, settings.limit) if x is not None]
        images = min(counts or [_test_images(settings, name)])
        sampled = min(images, controls.images)
        per_image = side**2 * (3 + 4 * len(explainers)) + 8 * curves * (protocol.steps + 1)
        result.append(
            PanelWork(
                name=name,
                network=panel.network,
                architecture=weights.architectures[0] if weights else None,
                classes=weights.classes if weights else 0,
                side=side,
                images=images,
                forwards=(images * curves + sampled * controlled) * protocol.steps,
                stored=images * per_image + sampled * 8 * controlled * (protocol.steps + 1),
            )
        )
    return result


def _test_images(settings: "Settings", name: str) -> int:
    """How many images a data set's test split has, as far as its settings say; 0: not known."""
    given = settings.datasets[name].splits.get("test", {})
    return int(given.get("count") or given.get("images") or 0)


def plan(settings: "Settings", rate: float | None = None, seconds: float = 5.0) -> str:
    """The plan as text.

    Parameters
    ----------
    settings
        Of the profile.
    rate
        Forwards/s to reckon with; None: each network's rate is measured here.
    seconds
        How long to measure each network.

    Raises
    ------
    InputError
        If a setting of a download or the name of weights is wrong.
    """
    files, work = needed_files(settings), panels(settings)
    return "\n".join(
        [*_downloads(files), "", *_disk(files, work), "", *_time(settings, work, rate, seconds)]
    )


def _downloads(files: list[Needed]) -> list[str]:
    lines = [f"Downloads, to {downloads_folder()}:"]
    for file in files:
        source = file.source
        about = "" if source.size else "about "
        state = "is here" if file.here else ("to download" if source.urls else "needs an account")
        some = file.images and source.images
        taken = f"; {file.images} of its {source.images} images are taken" if some else ""
        lines += [
            f"  {source.name}: {about}{readable(source.bytes)}, {state}{taken}",
            f"    checksum {source.checksum or _without_checksum(source)}",
            f"    {source.licence}; {source.page}",
            *([f"    {url}" for url in source.urls] if not file.here else []),
        ]
    return lines if files else ["Nothing to download."]


def _without_checksum(source: Source) -> str:
    known = f"its size, {source.size} bytes, is checked" if source.size else "what arrives is noted"
    return f"none published; {known}"


def _disk(files: list[Needed], work: list[PanelWork]) -> list[str]:
    folder = downloads_folder()
    missing = sum(f.source.bytes for f in files if not f.here)
    # Once beside the archive, once as the data set, once in DVC's cache.
    chosen = 3 * sum(f.source.bytes * f.images // f.source.images for f in files if f.source.images)
    # As outputs and in DVC's cache.
    stored = 2 * sum(p.stored for p in work)
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    need = missing + chosen + stored
    enough = (
        "" if free > need else "; NOT ENOUGH: AOPC_DOWNLOADS names another folder for downloads"
    )
    return [
        f"Disk: {readable(need)} ({readable(missing)} downloads, {readable(chosen)} chosen images,"
        f" {readable(stored)} frames, heatmaps and curves, with DVC's copies); {readable(free)} are"
        f" free{enough}"
    ]


def _time(
    settings: "Settings", work: list[PanelWork], rate: float | None, seconds: float
) -> list[str]:
    device = best_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "this machine's CPU"
    forwards = sum(p.forwards for p in work)
    lines = [
        f"Work: {forwards / 1e6:.1f} million forwards"
        f" ({len(work)} panels, {len(settings.explainers)} orders,"
        f" {settings.perturbation.repeats} repeats, {settings.perturbation.steps} steps,"
        " and the controls)"
    ]
    measured: dict[str, tuple[float, float]] = {}
    total: float = 0
    for panel in work:
        if rate is None and panel.architecture is None:
            lines.append(f"  {panel.name}: its network is trained first, so there is no estimate")
            continue
        per_heatmaps = 0.0
        if rate is None:
            key = str(panel.architecture)
            if key not in measured:
                measured[key] = _measure(settings, panel, seconds)
            found, per_heatmaps = measured[key]
        else:
            found = rate
        hours = (panel.forwards / found + panel.images * per_heatmaps) / 3600
        total += hours
        how = "as given" if rate is not None else f"measured on {name}"
        extra = f" and {per_heatmaps:.3f} s an image for all heatmaps" if per_heatmaps else ""
        lines.append(
            f"  {panel.name}: {panel.images} images, {panel.forwards / 1e6:.1f} million forwards at"
            f" {found:.0f} a second ({panel.network}, {how}){extra}: {duration(3600 * hours)}"
        )
    lines.append(
        f"  In all: {duration(3600 * total)}, and downloads, training and Figure 7 besides"
    )
    if rate is None and device.type == "cpu":
        lines.append(
            "  This is without a GPU. On a machine with one, the same command measures it; --rate"
            " reckons with a rate that you know"
        )
    return lines


def _measure(settings: "Settings", panel: PanelWork, seconds: float) -> tuple[float, float]:
    """(forwards/s of the engine, seconds an image for all heatmaps), with seeded weights."""
    torch.manual_seed(0)
    model = build(str(panel.architecture), panel.classes, {}).eval()
    network = Network(model, PREPROCESSINGS["caffe"]).on()
    shape = (PART_IMAGES, panel.side, panel.side, 3)
    noise = (Stream(0, "calibration").uniform(shape) * 256).astype(np.uint8)
    images = Dataset(noise, None, tuple(map(str, range(PART_IMAGES))), ())
    targets = np.zeros(PART_IMAGES, dtype=np.int64)
    subject = Subject(panel.name, network, images, targets)
    cost = calibrate_curves(subject, settings.protocol(panel.name), seconds)
    few = slice(0, default_batch_size(network.model, (3, panel.side, panel.side)))
    started = time.perf_counter()
    explained(subject, few, settings.explainers)
    return 1 / cost.per_forward, (time.perf_counter() - started) / few.stop


def profile_folder(path: Path) -> Path:
    """The folder of a profile, which may be named by its dvc.yaml too."""
    return path.parent if path.name in ("dvc.yaml", "params.yaml") else path
