"""Stage ``claims``: the measures with their intervals, and the verdicts on the paper's claims."""

from typing import TYPE_CHECKING

from aopc.base.files import write_json
from aopc.paper.claims.judge import judge
from aopc.paper.folders import REPORTS
from aopc.paper.measured import read_measured
from aopc.paper.report_tables import write_tables
from aopc.paper.variant import variant_of
from aopc.paper.written import note_written

if TYPE_CHECKING:
    from aopc.paper.settings import Settings
    from aopc.paper.tracking.pending import StageRun


def work(run: "StageRun", settings: "Settings") -> None:
    measured = read_measured(settings)
    run.params = {"panels": list(settings.panels), "explainers": list(settings.explainers)}
    run.params["seed"] = settings.seed
    run.metrics = write_tables(measured, REPORTS)
    verdicts = judge(measured.evidence(settings.stands_for, settings.titles))
    write_json(REPORTS / "claims.json", verdicts)
    if variant := variant_of(settings.raw):
        print(f"aopc: this is {variant.sentence}")
    for name, found in verdicts.items():
        run.params[name] = found["verdict"]
        if found["effect"] is not None:
            run.metrics[f"{name}/effect"] = found["effect"]
        print(f"{name}: {found['verdict']} — {found['reading']}")
    files = [*REPORTS.glob("*.csv"), *REPORTS.glob("*.json")]
    run.artifacts += sorted(str(file) for file in files)
    note_written("claims", files)
