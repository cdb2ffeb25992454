"""``aopc plan``: what a profile will download, what it needs on disk, and how long it will take."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aopc.datasets import DOWNLOADS, SOURCES
from aopc.datasets.torchvision_sets import mnist_folder
from aopc.downloads.fetch import is_here
from aopc.downloads.source import Source, readable
from aopc.estimate import calibrate_curves, duration, trajectories
from aopc.evaluate import PART_IMAGES
from aopc.explainers import get_explainer, heatmaps_of
from aopc.models.caffe_weights import weights_named
from aopc.models.inference import best_device, default_batch_size
from aopc.models.network_file import build
from aopc.perturbation.removal import ValueRange
from aopc.protocol import Protocol
from aopc.registry import resolve
from aopc.repository import downloads_folder
from aopc.settings import checked
from aopc.stages.panel import control_settings, panel_protocol, panel_settings
from aopc.stages.stage import section


@dataclass(frozen=True)
class Panel:
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


def needed_files(params: dict[str, Any]) -> list[Needed]:
    """The files that the profile downloads."""
    found: dict[str, Needed] = {}
    for name, settings in section(params, "datasets").items():
        source = section(params, "datasets", name, "source")
        resolve("data set source", SOURCES, source)
        if source not in DOWNLOADS:
            continue
        needed = resolve("data set source", DOWNLOADS, source)
        folder = mnist_folder() if source == "mnist" else downloads_folder()
        for split in ("train", "test"):
            given = settings.get(split) or {}
            for file in needed(split, given) if split in settings else ():
                found[file.name] = Needed(file, folder, int(given.get("count") or 0))
    for networks in section(params, "networks").values():
        for label, options in networks.items():
            if "weights" in options:
                weights = weights_named(options["weights"]).source
                file = weights.changed(options.get("archive"), f"the archive of {label}")
                found[file.name] = Needed(file, downloads_folder(), 0)
    return list(found.values())


def panels(params: dict[str, Any]) -> list[Panel]:
    """The work on each panel."""
    limit = section(params, "limit")
    protocol = checked(
        Protocol,
        "params.yaml: perturbation",
        section(params, "perturbation"),
        region_size=1,
        seed=0,
    )
    explainers = list(section(params, "explainers"))
    for explainer in explainers:
        get_explainer(explainer)
    curves = sum(trajectories(protocol, e) for e in explainers)
    controls = control_settings(params)
    controlled = controls.trajectories(explainers, protocol)
    result = []
    for name in section(params, "panels"):
        panel = panel_settings(params, name)
        data_set, _, label = panel.network.partition("/")
        options = section(params, "networks", data_set, label)
        weights = weights_named(options["weights"]) if "weights" in options else None
        side = (weights.preprocessing.crop or 0) if weights else 0
        counts = [x for x in (panel.images, limit) if x is not None]
        if not counts:
            counts = [_test_images(params, name)]
        images = min(counts)
        per_image = side**2 * (3 + 4 * len(explainers)) + 8 * curves * (protocol.steps + 1)
        architecture = weights.architectures[0] if weights else None
        result.append(
            Panel(
                name=name,
                network=panel.network,
                architecture=architecture,
                classes=weights.classes if weights else 0,
                side=side,
                images=images,
                forwards=(images * curves + min(images, controls.images) * controlled)
                * protocol.steps,
                stored=images * per_image
                + min(images, controls.images) * 8 * controlled * (protocol.steps + 1),
            )
        )
    return result


def _test_images(params: dict[str, Any], name: str) -> int:
    """How many images a data set's test split has, as far as its settings say; 0: not known."""
    settings = section(params, "datasets", name).get("test") or {}
    return int(settings.get("count") or settings.get("images") or 0)


def plan(params: dict[str, Any], rate: float | None = None, seconds: float = 5.0) -> str:
    """The plan as text.

    Parameters
    ----------
    params
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
    files, work = needed_files(params), panels(params)
    return "\n".join(
        [*_downloads(files), "", *_disk(files, work), "", *_time(params, work, rate, seconds)]
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


def _disk(files: list[Needed], work: list[Panel]) -> list[str]:
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
    params: dict[str, Any], work: list[Panel], rate: float | None, seconds: float
) -> list[str]:
    device = best_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "this machine's CPU"
    forwards = sum(p.forwards for p in work)
    lines = [
        f"Work: {forwards / 1e6:.1f} million forwards"
        f" ({len(work)} panels, {len(params['explainers'])} orders,"
        f" {params['perturbation']['repeats']} repeats, {params['perturbation']['steps']} steps,"
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
                measured[key] = _measure(params, panel, seconds)
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


def _measure(params: dict[str, Any], panel: Panel, seconds: float) -> tuple[float, float]:
    """(forwards/s of the engine, seconds an image for all heatmaps), with seeded weights."""
    torch.manual_seed(0)
    model = build(str(panel.architecture), panel.classes, {}).eval().to(best_device())
    noise = torch.Generator().manual_seed(0)
    images = 60 * torch.randn(PART_IMAGES, 3, panel.side, panel.side, generator=noise)
    cost = calibrate_curves(
        model,
        images,
        panel_protocol(params, panel.name),
        ValueRange((-120.0,) * 3, (135.0,) * 3),
        seconds=seconds,
    )
    few = images[: default_batch_size(model, tuple(images.shape[1:]))]
    targets = np.zeros(len(few), dtype=np.int64)
    started = time.perf_counter()
    heatmaps_of(model, few, list(params["explainers"]), targets, allow_nonfinite=True)
    return 1 / cost.per_forward, (time.perf_counter() - started) / len(few)


def profile_folder(path: Path) -> Path:
    """The folder of a profile, which may be named by its dvc.yaml too."""
    return path.parent if path.name in ("dvc.yaml", "params.yaml") else path
