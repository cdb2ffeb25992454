"""The README's table of results: what the paper says, what came out here, and the verdict."""

from collections.abc import Mapping
from typing import Any

from aopc.base.errors import InputError
from aopc.paper.claims.evidence import PAPER_DATA

Metrics = Mapping[str, Mapping[str, Mapping[str, float | None]]]

#: Table I of the paper, KB: format → method → data set.
TABLE_1 = {
    "png_kb": {
        "sensitivity-l2": {"sun397": 183, "ilsvrc2012": 177, "places205": 183},
        "deconvolution-l2": {"sun397": 166, "ilsvrc2012": 164, "places205": 167},
        "lrp-alpha2-beta1": {"sun397": 154, "ilsvrc2012": 154, "places205": 155},
    },
    "jpeg_kb": {
        "sensitivity-l2": {"sun397": 25, "ilsvrc2012": 22, "places205": 25},
        "deconvolution-l2": {"sun397": 20, "ilsvrc2012": 18, "places205": 20},
        "lrp-alpha2-beta1": {"sun397": 14, "ilsvrc2012": 13, "places205": 14},
    },
}
REFERENCE = "sensitivity-l2"
COMMAND = "`dvc repro claims`"


def results_table(
    claims: Mapping[str, Mapping[str, Any]],
    metrics: Metrics,
    stands_for: Mapping[str, str],
) -> str:
    """One row a claim, then the file sizes of Table I as ratios, which do not depend on image size.

    Parameters
    ----------
    claims
        ``claims.json``.
    metrics
        ``metrics.json``.
    stands_for
        The paper's name of a data set → the panel that stands for it.
    """
    lines = ["| paper | ours | difference | verdict | command |", "|---|---|---|---|---|"]
    for name, found in claims.items():
        lines.append(
            f"| **{name}** {found['claim']} | {_ours(found)} | {_distance(found)} |"
            f" {found['verdict']} | {COMMAND} |"
        )
    lines += _sizes(metrics, stands_for)
    return "\n".join(lines) + "\n"


def _ours(found: Mapping[str, Any]) -> str:
    if found["effect"] is None:
        return str(found["reading"])
    low, high = _number(found["low"]), _number(found["high"])
    return f"{_number(found['effect'])} [{low}, {high}], n = {found['n']}: {turning(found)['what']}"


def turning(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reading that the verdict turns on."""
    reading: Mapping[str, Any] = next(
        r
        for r in found["readings"]
        if (r["estimate"], r["low"], r["high"]) == (found["effect"], found["low"], found["high"])
    )
    return reading


def _distance(found: Mapping[str, Any]) -> str:
    """How far the effect is beyond what the claim says, negative where it falls short."""
    if found["effect"] is None:
        return "–"
    reading = turning(found)
    lead = reading["estimate"] - reading["bound"]
    return f"{lead if reading['side'] == 'above' else -lead:+.2f}"


def size_ratios(metrics: Metrics, stands_for: Mapping[str, str]) -> list[dict[str, Any]]:
    """Table I as ratios to sensitivity: one row a format × method × data set of the paper.

    Keys: format, method, data_set (the paper's), panel, paper, ours (a ratio, no unit). Parameters as
    of :func:`results_table`.
    """
    rows = []
    for measure, label in (("png_kb", "PNG"), ("jpeg_kb", "JPEG")):
        for method, words in (("deconvolution-l2", "deconvolution"), ("lrp-alpha2-beta1", "LRP")):
            published = TABLE_1[measure]
            for paper, name in PAPER_DATA.items():
                found = metrics.get(stands_for.get(paper, ""), {})
                size, reference = (found.get(e, {}).get(measure) for e in (method, REFERENCE))
                if not size or not reference:
                    continue
                rows.append(
                    {
                        "format": label,
                        "method": words,
                        "data_set": name,
                        "panel": stands_for[paper],
                        "paper": published[method][paper] / published[REFERENCE][paper],
                        "ours": size / reference,
                    }
                )
    return rows


def _sizes(metrics: Metrics, stands_for: Mapping[str, str]) -> list[str]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in size_ratios(metrics, stands_for):
        groups.setdefault((row["format"], row["method"]), []).append(row)
    return [
        f"| **Table I** {label} size, {method} / sensitivity,"
        f" {' / '.join(r['data_set'] for r in rows)}: {_list([r['paper'] for r in rows])} |"
        f" {_list([r['ours'] for r in rows])} |"
        f" {_list([r['ours'] - r['paper'] for r in rows], sign='+')} | – | `dvc repro figures` |"
        for (label, method), rows in groups.items()
    ]


def _list(values: list[float], sign: str = "") -> str:
    return " / ".join(f"{v:{sign}.2f}" for v in values)


def _number(value: float | None) -> str:
    """Two decimals; what is not known is NaN in memory and null in JSON."""
    return "–" if value is None or value != value else f"{value:.2f}"


BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def with_results(readme: str, table: str) -> str:
    """The README with the table between its two marks.

    Raises
    ------
    InputError
        If the marks are missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{table}{END}{after}"
