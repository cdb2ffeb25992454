"""Stage: the README's table of results, and all waiting notes to MLflow."""

from pathlib import Path
from typing import Any

from aopc.errors import InputError
from aopc.stages.stage import DATA, JOURNAL, PARAMS, REPORTS
from aopc.tables import atomic, file_hash, write_json
from aopc.tracking.journal import StageRun
from aopc.tracking.store import log_pending

README = Path("README.md")
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


def work(run: StageRun, params: dict[str, Any]) -> None:
    run.tracked = False
    table = (REPORTS / "results.md").read_text(encoding="utf-8")
    current = README.read_text(encoding="utf-8")
    updated = with_results(current, table)
    if updated != current:
        with atomic(README) as path:
            path.write_text(updated, encoding="utf-8")
    write_json(DATA / "published.json", {"results": file_hash(REPORTS / "metrics.json")})
    print(log_pending(JOURNAL, params, [PARAMS, Path("dvc.lock")]))
