"""Stage ``publish``: all waiting notes to MLflow, the page, and the README's table of results."""

from pathlib import Path
from typing import TYPE_CHECKING

from aopc.base.files import atomic, write_json
from aopc.base.provenance import file_hash
from aopc.paper.folders import DATA, REPORTS
from aopc.paper.publication import LOCK, publish_page
from aopc.paper.readme import is_marked, with_results
from aopc.paper.tracking.pending import PENDING
from aopc.paper.tracking.store import log_pending
from aopc.paper.variant import variant_of
from aopc.paper.written import check_written

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun

README, PARAMS = Path("README.md"), Path("params.yaml")


def work(run: "StageRun", settings: "Settings") -> None:
    run.tracked = False
    check_written("claims")
    check_written("figures")
    table, current = (f.read_text(encoding="utf-8") for f in (REPORTS / "results.md", README))
    if (variant := variant_of(settings.raw)) or is_marked(table):
        print(f"aopc: this is {variant.sentence if variant else 'the table of a variant'}: {README} stays as it is")
    elif (updated := with_results(current, table)) != current:
        with atomic(README) as path:
            path.write_text(updated, encoding="utf-8")
    print(log_pending(PENDING, settings.raw, [PARAMS, LOCK]))
    # Its date, wall times and links differ from run to run, so it is no output that DVC keeps.
    print(f"wrote {publish_page(settings, PENDING.last_runs())}")
    # The table tells variants apart that measure the same.
    published = {"results": REPORTS / "metrics.json", "table": REPORTS / "results.md"}
    write_json(DATA / "published.json", {name: file_hash(file) for name, file in published.items()})
