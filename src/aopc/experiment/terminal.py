"""The results of ``aopc evaluate`` as a table for the terminal."""

import io
import math

from rich.console import Console
from rich.table import Table

from aopc.experiment.results import Outcome
from aopc.measures.statistics.bootstrap import Interval
from aopc.perturbation.order import RANDOM


def outcome_table(outcome: Outcome) -> str:
    """Explainer, AOPC, difference to random, complexity; best first, with 95 % intervals."""
    summary = outcome.summary
    metrics = summary.metrics()
    table = Table(box=None, pad_edge=False)
    for title in ("explainer", "AOPC", "relative to random", "entropy", "PNG KB", "zero", "n"):
        table.add_column(title, justify="left" if title == "explainer" else "right")
    for name, found in sorted(metrics.items(), key=lambda item: -item[1]["aopc"]):
        table.add_row(
            name,
            _text(summary.absolute(name)),
            "" if name == RANDOM else _text(summary.difference(name, RANDOM), sign="+"),
            f"{found['entropy']:.2f}",
            f"{found['png_kb']:.1f}",
            str(found["zero_heatmaps"]),
            str(found["images"]),
        )
    head = f"{summary.name}: [95 % bootstrap intervals over images]"
    if outcome.accuracy is not None:
        head += f", top-1 accuracy {outcome.accuracy:.1%}"
    text = io.StringIO()
    # Names are users': no markup, no emoji.
    console = Console(file=text, width=110, color_system=None, markup=False, emoji=False, highlight=False)
    console.print(head)
    console.print(table)
    if outcome.conditions:
        console.print("\nAOPC under other conditions (of lerf alone: the area over the LeRF curve)")
        others = Table(box=None, pad_edge=False)
        for title in ("condition", "explainer", "AOPC", "ABPC", "n"):
            others.add_column(title, justify="left" if title in ("condition", "explainer") else "right")
        for row in outcome.conditions:
            aopc = _interval(row["aopc"], row["low"], row["high"])
            abpc = _interval(row["abpc"], row["abpc_low"], row["abpc_high"])
            between = "" if math.isnan(row["abpc"]) else abpc
            others.add_row(row["condition"], row["explainer"], aopc, between, str(row["images"]))
        console.print(others)
    return text.getvalue().rstrip()


def _text(interval: Interval, sign: str = "") -> str:
    return _interval(*interval.numbers, sign)


def _interval(mean: float, low: float, high: float, sign: str = "") -> str:
    return f"{mean:{sign}.2f} [{low:.2f}, {high:.2f}]"
