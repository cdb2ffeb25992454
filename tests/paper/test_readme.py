"""The README's table of results."""

import json
import re

import pytest
import yaml

from aopc.base.errors import InputError
from aopc.paper.claims.judge import judge
from aopc.paper.claims.rules import CLAIMS
from aopc.paper.readme import BEGIN, END, as_cell, marked, results_table, with_results
from made_up import evidence
from pipeline import ROOT


def test_the_readmes_table_has_a_row_a_claim_and_the_papers_ratios() -> None:
    true = evidence()
    metrics = {
        p.name: {
            e: {"png_kb": size, "jpeg_kb": size}
            for e, size in (
                ("sensitivity-l2", 2.0),
                ("deconvolution-l2", 1.5),
                ("lrp-alpha2-beta1", 1.0),
            )
        }
        for p in true.panels.values()
    }
    stands_for = {name: p.name for name, p in true.panels.items()}
    table = results_table(judge(true), metrics, stands_for)
    lines = table.splitlines()
    assert len(lines) == 2 + len(CLAIMS) + 4
    assert all(line.count("|") == 6 for line in lines)
    # 154 / 183, 154 / 177 and 155 / 183 in the paper's Table I.
    assert "0.84 / 0.87 / 0.85 | 0.50 / 0.50 / 0.50 | -0.34 / -0.37 / -0.35" in table


def test_readme_shows_the_results_of_the_last_run() -> None:
    panels = yaml.safe_load((ROOT / "params.yaml").read_text())["panels"]
    stands_for = {p["stands_for"]: name for name, p in panels.items() if "stands_for" in p}
    claims, metrics = (json.loads((ROOT / "reports" / name).read_text()) for name in ("claims.json", "metrics.json"))
    table = results_table(claims, metrics, stands_for)
    assert table == (ROOT / "reports" / "results.md").read_text()
    readme = (ROOT / "README.md").read_text()
    assert with_results(readme, table) == readme


def test_readme_without_marks_is_said() -> None:
    assert with_results(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}new\n{END}b\n"
    with pytest.raises(InputError, match="lacks the marks"):
        with_results("no marks", "table")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "data/README.md", "benchmarks/README.md"])
def test_what_a_page_points_to_is_there(page: str) -> None:
    """Paths in backticks that begin with a folder of the repository, and links."""
    text, top = (ROOT / page).read_text(), {p.name for p in ROOT.iterdir() if p.is_dir()}
    named = [n for n in re.findall(r"`([\w.-]+/[\w./-]+)`", text) if n.partition("/")[0] in top - {"data", "results"}]
    linked = [(ROOT / page).parent / n for n in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)]
    made = ("reports/index.html",)  # by the pipeline
    missing = [str(p) for p in [*(ROOT / n for n in named if n not in made), *linked] if not p.exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a | b", r"a \| b"),
        (r"a \| b", r"a \\\| b"),
        ("LRP < 3 and <b>x</b> <!-- y -->", r"LRP < 3 and \<b>x\</b> \<!-- y -->"),
    ],
)
def test_a_title_ends_no_cell_and_begins_no_tag(text: str, cell: str) -> None:
    assert as_cell(text) == cell
    found = {"claim": "c", "effect": None, "turning": None, "reading": text, "verdict": "could not run"}
    assert f"| {cell} | – |" in results_table({"C1": found}, {}, {})
    assert cell in marked("", f"a variant of the profile x, not the replication ({text})")


def test_what_is_not_known_is_no_number() -> None:
    """In memory it is NaN, in the file null."""
    for unknown in (float("nan"), None):
        turning = {"estimate": unknown, "low": unknown, "high": unknown, "bound": 0.0, "side": "above", "what": "w"}
        found = {"claim": "c", "effect": unknown, "n": 0, "turning": 0, "verdict": "undecided", "readings": [turning]}
        assert "| – [–, –], n = 0: w | – | undecided |" in results_table({"C1": {**found, "reading": "r"}}, {}, {})
