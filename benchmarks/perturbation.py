"""Region perturbation beside the network's own forward passes and beside Quantus.

    python benchmarks/perturbation.py caffenet

Prints, and writes to results.json, what `make benchmark` shows in README.md.
"""

from aopc.base.machine import prepare

prepare()

import argparse
import statistics
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import torch
from networks import NETWORKS, Subject
from results import RESULTS, update
from timing import in_turns, machine, peak_mb, rate, ratios, reset_peak, synchronise
from torch import nn

import aopc
from aopc.engine.incremental.plan import plan_network
from aopc.perturbation.partition import Grid

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: On a CPU larger batches make Quantus no faster, and its job too long.
_QUANTUS_IMAGES = {"cpu": 32, "cuda": 512}
#: A batch that is so much slower than the best so far ends the search.
_HOPELESS = 0.6


class Raw:
    """The network's own batched forward pass on one batch that stays where it is."""

    def __init__(self, model: nn.Module, subject: Subject, device: str, size: int, layout: Any, dtype: Any) -> None:
        self._model, self._dtype, self._device = model, dtype, device
        self.size, self.layout = size, layout
        self._batch = subject.images(size).to(device, memory_format=layout)

    def __call__(self, seconds: float = 1.5) -> float:
        """Images in about so many seconds."""
        import time

        done, started = 0, time.perf_counter()
        autocast = torch.autocast(self._device, torch.bfloat16, enabled=self._dtype is not None)
        with torch.inference_mode(), autocast:
            while done == 0 or time.perf_counter() - started < seconds:
                self._model(self._batch)
                synchronise()
                done += self.size
        return done

    @property
    def words(self) -> str:
        last = "channels last" if self.layout == torch.channels_last else "channels first"
        return f"batch {self.size}, {last}"


def best_raw(model: nn.Module, subject: Subject, device: str, dtype: Any = None) -> Raw:
    """The fastest batch size and memory layout; three candidates are measured again."""
    found: list[tuple[float, Raw]] = []
    for layout in (torch.channels_last, torch.contiguous_format):
        best = 0.0
        for size in BATCHES:
            if layout == torch.contiguous_format and device == "cpu" and size > 32:
                break  # it is behind by far up to there
            try:
                raw = Raw(model, subject, device, size, layout, dtype)
                raw(0.0)
                reached = rate(lambda raw=raw: raw(0.5))  # type: ignore[misc]
            except torch.OutOfMemoryError:
                break
            found.append((reached, raw))
            best = max(best, reached)
            enough = size * subject.side**2 >= 64 * 64 * 128
            if enough and (reached < _HOPELESS * best or size / reached > 1):
                break
    finalists = [raw for _, raw in sorted(found, key=lambda pair: -pair[0])[:3]]
    again = in_turns({str(i): (lambda r=r: r(0.7)) for i, r in enumerate(finalists)}, 2)  # type: ignore[misc]
    best_name = max(again, key=lambda name: statistics.median(again[name]))
    return finalists[int(best_name)]


class Engine:
    """:func:`aopc.perturbation_curves` on a job."""

    def __init__(self, model: nn.Module, subject: Subject, job: tuple[int, int, int], **options: Any) -> None:
        count, self._repeats, self._steps = job
        self._model, self._subject, self._options = model, subject, options
        self._images = subject.images(count)
        self._maps = self._images.sum(1)
        self._targets = np.zeros(count, dtype=np.int64)

    def __call__(self) -> float:
        curves = aopc.perturbation_curves(
            self._model, self._images, self._maps, self._targets, steps=self._steps,
            repeats=self._repeats, region_size=self._subject.region_size, **self._options,
        )  # fmt: skip
        return curves.forwards


class Quantus:
    """``quantus.RegionPerturbation`` on images that fill the best raw batch."""

    def __init__(self, model: nn.Module, subject: Subject, device: str, size: int) -> None:
        import quantus

        self._size, self._device, self._model = min(size, _QUANTUS_IMAGES[device]), device, model
        # Whole batches, and enough of them to outlast what it does once.
        self._steps = 4 if subject.side > 100 else 40
        self._metric = quantus.RegionPerturbation(
            patch_size=subject.region_size,
            regions_evaluation=self._steps,
            order="morf",
            normalise=False,
            perturb_baseline="uniform",
            disable_warnings=True,
            display_progressbar=False,
        )
        # It wants a grid that divides the image.
        side = subject.side - subject.side % subject.region_size
        self._crop = side
        self._images = subject.images(self._size).numpy()
        self._maps = self._images.sum(1, keepdims=True)

    def __call__(self) -> float:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            self._metric(
                model=self._model,
                x_batch=self._images,
                y_batch=np.zeros(self._size, dtype=np.int64),
                a_batch=self._maps,
                softmax=False,
                channel_first=True,
                device=self._device,
                batch_size=self._size,
            )
        # It predicts the whole images, then each perturbed one.
        return self._size * (self._steps + 1)


def measure(name: str, device: str, rounds: int | None) -> dict[str, Any]:
    """All ratios of one network on one device."""
    subject = NETWORKS[name]
    model = subject.network(device)
    image = subject.images(1).to(device)
    grid = Grid(subject.side, subject.side, subject.region_size)
    with torch.inference_mode():
        plan = plan_network(model, image, grid, 100)
    raw = best_raw(model, subject, device)
    raw_bfloat16 = best_raw(model, subject, device, torch.bfloat16)
    print(f"{name} on {device}: best raw {raw.words}; in bfloat16 {raw_bfloat16.words}", flush=True)
    contenders = {
        "raw": raw,
        "engine": Engine(model, subject, subject.full, incremental=False),
        "incremental": Engine(model, subject, subject.incremental),
        "quantus": Quantus(model, subject, device, raw.size),
        "raw bfloat16": raw_bfloat16,
        "bfloat16": Engine(model, subject, subject.shorter, dtype="bfloat16"),
    }
    rates = in_turns(contenders, rounds or subject.rounds)
    found: dict[str, Any] = {
        "raw_forwards_per_s": statistics.median(rates["raw"]),
        "raw_at": raw.words,
        "steps_macs_over_full": plan.ratio,
        "peak_mb": peak_alone(name, device),
        "rounds": rounds or subject.rounds,
        "rates": rates,
        "spread": {},
    }
    for label, (one, other) in {
        "engine_over_raw": ("engine", "raw"),
        "incremental_over_raw": ("incremental", "raw"),
        "engine_over_quantus": ("incremental", "quantus"),
        "quantus_over_raw": ("quantus", "raw"),
        "bfloat16_over_raw": ("bfloat16", "raw"),
        "bfloat16_over_raw_bfloat16": ("bfloat16", "raw bfloat16"),
    }.items():
        ratio = ratios(rates, one, other)
        found[label] = ratio["median"]
        found["spread"][label] = [ratio["low"], ratio["high"]]
        print(
            f"  {label}: {ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]",
            flush=True,
        )
    return found | machine(device)


def peak(name: str, device: str) -> None:
    """Print the peak memory of the incremental job in this process, which does nothing else."""
    subject = NETWORKS[name]
    job = Engine(subject.network(device), subject, subject.shorter)
    reset_peak()
    job()
    print(peak_mb())


def peak_alone(name: str, device: str) -> float:
    """:func:`peak` in a process of its own, in MB; weights and libraries are counted."""
    command = [sys.executable, __file__, name, "--peak", device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure the named networks, or all, on each device."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], default=list(NETWORKS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.networks[0], options.peak)
        return
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in options.networks or NETWORKS:
        for device in devices:
            update(RESULTS, {name: {device: measure(name, device, options.rounds)}})


if __name__ == "__main__":
    main()
