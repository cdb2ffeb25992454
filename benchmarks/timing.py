"""How things are timed: side by side in one run, in turns, so that the machine's changes meet all alike."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

#: Does some work and returns how many units of it.
Contender = Callable[[], float]


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rate(contender: Contender, seconds: float = 0.0) -> float:
    """Units a second of one call, or of as many as take so long."""
    synchronise()
    done, started = 0.0, time.perf_counter()
    while True:
        done += contender()
        synchronise()
        gone = time.perf_counter() - started
        if gone >= seconds:
            return done / gone


def in_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """The rate of each contender in each round, after one call each that is not counted.

    Every second round goes backwards, so that none always follows the same other.
    """
    for contender in contenders.values():
        contender()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            rates[name].append(rate(contenders[name]))
    return rates


def ratios(rates: Mapping[str, list[float]], name: str, other: str) -> dict[str, float]:
    """Median, smallest and largest ratio of two contenders' rates in the same round."""
    found = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
    return {"median": statistics.median(found), "low": min(found), "high": max(found)}


def reset_peak() -> None:
    """Start to measure the peak memory anew."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Peak memory since :func:`reset_peak` in MB: of the process, or on the GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def machine(device: str) -> dict[str, Any]:
    """Hardware and versions."""
    if device == "cuda":
        hardware = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        hardware = f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"
    return {
        "hardware": hardware,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "zennit", "captum", "quantus")},
        },
    }
