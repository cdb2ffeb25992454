"""The README's table of results, as Markdown."""

from collections.abc import Mapping

Metrics = Mapping[str, Mapping[str, Mapping[str, float | int]]]


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
                f"{found['entropy']:.2f}",
                f"{found['png_kb']:.2f}",
                str(found["zero_heatmaps"]),
                str(found["images"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(found: Mapping[str, float | int], name: str) -> str:
    return f"{found[name]:.2f} [{found[f'{name}_low']:.2f}, {found[f'{name}_high']:.2f}]"
