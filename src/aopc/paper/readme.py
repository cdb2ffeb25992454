"""The README's table of results: what the paper says, what came out here, and the verdict."""

import re
from collections.abc import Mapping
from itertools import groupby, product
from operator import itemgetter
from typing import Any

from aopc.base.errors import InputError
from aopc.paper.claims.evidence import FORMATS, PAPER_DATA

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
_METHODS = {"deconvolution-l2": "deconvolution", "lrp-alpha2-beta1": "LRP"}


def results_table(claims: Mapping[str, Mapping[str, Any]], metrics: Metrics, stands_for: Mapping[str, str]) -> str:
    """One row a claim, then the file sizes of Table I as ratios, which do not depend on image size.

    Parameters
    ----------
    claims, metrics
        ``claims.json`` and ``metrics.json``.
    stands_for
        The paper's name of a data set → the panel that stands for it.
    """
    rows = [("paper", "ours", "difference", "verdict", "command")]
    for name, found in claims.items():
        effect, lead = _effect(found)
        rows.append((f"**{name}** {found['claim']}", as_cell(effect), lead, found["verdict"], "`dvc repro claims`"))
    for (label, method), group in groupby(size_ratios(metrics, stands_for), key=itemgetter("format", "method")):
        sizes = list(group)
        names, published = " / ".join(r["data_set"] for r in sizes), _list([r["paper"] for r in sizes])
        said = f"**Table I** {label} size, {method} / sensitivity, {names}: {published}"
        difference = _list([r["ours"] - r["paper"] for r in sizes], sign="+")
        rows.append((said, _list([r["ours"] for r in sizes]), difference, "–", "`dvc repro figures`"))
    head, *lines = (f"| {' | '.join(row)} |\n" for row in rows)
    return "".join([head, "|---|---|---|---|---|\n", *lines])


def _effect(found: Mapping[str, Any]) -> tuple[str, str]:
    """The reading that decides, and how far it is beyond what the claim says, negative where it falls short."""
    if found["turning"] is None:
        return str(found["reading"]), "–"
    turning = found["readings"][found["turning"]]
    if turning["estimate"] is None or turning["estimate"] != turning["estimate"]:
        return f"– [–, –], n = {found['n']}: {turning['what']}", "–"
    lead = turning["estimate"] - turning["bound"]
    effect, low, high = (_number(turning[name]) for name in ("estimate", "low", "high"))
    said = f"{effect} [{low}, {high}], n = {found['n']}: {turning['what']}"
    return said, f"{lead if turning['side'] == 'above' else -lead:+.2f}"


def size_ratios(metrics: Metrics, stands_for: Mapping[str, str]) -> list[dict[str, Any]]:
    """Table I as ratios to sensitivity: one row a format × method × data set of the paper.

    Keys: format, method, data_set (the paper's), panel, paper, ours (a ratio, no unit).
    """
    rows = []
    for measure, method, paper in product(FORMATS, _METHODS, PAPER_DATA):
        found, published = metrics.get(stands_for.get(paper, ""), {}), TABLE_1[measure]
        size, reference = (found.get(e, {}).get(measure) for e in (method, REFERENCE))
        if size and reference:
            rows.append(
                {
                    "format": FORMATS[measure],
                    "method": _METHODS[method],
                    "data_set": PAPER_DATA[paper],
                    "panel": stands_for[paper],
                    "paper": published[method][paper] / published[REFERENCE][paper],
                    "ours": size / reference,
                }
            )
    return rows


def as_cell(text: str) -> str:
    """Text for a cell of a table: a title or a name of somebody's ends no cell and begins no tag.

    Examples
    --------
    >>> print(as_cell("a | b < c <b>"))
    a \\| b < c \\<b>
    """
    return re.sub(r"[\\|]|<(?=[A-Za-z/!?])", r"\\\g<0>", text)


def _list(values: list[float], sign: str = "") -> str:
    return " / ".join(f"{v:{sign}.2f}" for v in values)


def _number(value: float | None) -> str:
    """Two decimals; what is not known is NaN in memory and null in JSON."""
    return "–" if value is None or value != value else f"{value:.2f}"


_VARIANT = "**This is a variant "


def marked(table: str, variant: str) -> str:
    """The table of a variant: a sentence in front says that it is one, "a variant …"."""
    return f"{_VARIANT}{as_cell(variant.removeprefix('a variant '))}.**\n\n{table}"


def is_marked(table: str) -> bool:
    """Whether a table is that of a variant."""
    return table.startswith(_VARIANT)


BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"


def with_results(readme: str, table: str) -> str:
    """The README with the table between its two marks; InputError if they are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{table}{END}{after}"
