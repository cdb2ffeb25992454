"""The README's table of results, as Markdown."""

from collections.abc import Mapping

Metrics = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def results_table(metrics: Metrics) -> str:
    """AOPC and what it exceeds random order by, with 95 % intervals, a row a data set × explainer."""
    lines = [
        "| data set | explainer | AOPC | relative to random | entropy (bit) | PNG (KB) | zero heatmaps | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data_set, by_explainer in metrics.items():
        for explainer, found in by_explainer.items():
            cells = [
                data_set,
                f"`{explainer}`",
                _interval(found, "aopc"),
                _interval(found, "relative_to_random") if explainer != "random" else "–",
                _number(found["entropy"]),
                _number(found["png_kb"]),
                str(found["zero_heatmaps"]),
                str(found["images"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(found: Mapping[str, float | None], name: str) -> str:
    mean, low, high = (_number(found[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{mean} [{low}, {high}]"


def _number(value: float | None) -> str:
    """Two decimals; what is not known is NaN in memory and null in JSON."""
    return "–" if value is None or value != value else f"{value:.2f}"
