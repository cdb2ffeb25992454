"""Stage ``figures``: the paper's figures and tables, those beyond it, and the README's table of results."""

from typing import TYPE_CHECKING

from aopc.base.files import atomic, read_json
from aopc.paper.drawing import draw_all
from aopc.paper.folders import REPORTS
from aopc.paper.readme import marked, results_table
from aopc.paper.variant import variant_of
from aopc.paper.written import check_written, note_written

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    check_written("claims")
    metrics, claims = read_json(REPORTS / "metrics.json"), read_json(REPORTS / "claims.json")
    table, variant = results_table(claims, metrics, settings.stands_for), variant_of(settings.raw)
    with atomic(REPORTS / "results.md") as path:
        path.write_text(marked(table, variant.sentence) if variant else table, encoding="utf-8")
    run.params = {"panels": list(settings.panels), "explainers": list(settings.explainers)}
    run.artifacts += [*map(str, draw_all(settings, variant.brief)), str(REPORTS / "results.md")]
    note_written("figures", run.artifacts)
