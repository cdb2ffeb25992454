"""The page: one self-contained HTML file with every figure, claim and number's origin."""

import base64
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jinja2
from PIL import Image

from aopc.base.files import atomic, read_csv, read_json
from aopc.base.provenance import hardware, versions
from aopc.measures.statistics.hypotheses import SIGNIFICANCE, Verdict
from aopc.paper.claims.evidence import OUTCOMES, PAPER_DATA
from aopc.paper.readme import size_ratios
from aopc.paper.report import sentences
from aopc.paper.report.captions import CAPTIONS, Caption
from aopc.paper.tracking.pending import LoggedRun
from aopc.paper.wording import PAPERS_REMOVAL, replaced, taken

HERE = Path(__file__).parent
#: The page as a whole may be so large.
MOST_BYTES = 15_000_000


@dataclass(frozen=True)
class Facts:
    """What the page says about where its results are from.

    Attributes
    ----------
    profile, command
        "default" is the offline default; what regenerates it.
    commit, lock
        Of the code, and the hash of dvc.lock; None where there is none.
    stages, pipeline
        Last run of each stage here, and where MLflow shows the last one of the pipeline. A stage whose results were
        the committed ones already did not run.
    changes
        What makes it a variant of the profile; empty where it is the profile's own.
    removal
        What takes the place of regions in the main experiment.
    """

    profile: str
    command: str
    commit: str
    lock: str | None
    stages: Sequence[LoggedRun]
    pipeline: str | None = None
    changes: Sequence[str] = ()
    removal: str = PAPERS_REMOVAL


def write_page(
    reports: Path,
    titles: Mapping[str, str],
    stands_for: Mapping[str, str],
    baselines: Sequence[str],
    viewer: Sequence[Mapping[str, Any]],
    facts: Facts,
) -> Path:
    """Write ``index.html`` beside the results.

    Parameters
    ----------
    reports, facts
        Folder with metrics.json, claims.json, the tables and figures/; for the header and the last section.
    titles, stands_for
        Panel → title, and the paper's name of a data set → the panel that stands for it.
    baselines
        Explainers that do not know the network.
    viewer
        Panels as of :func:`aopc.paper.report.viewer.viewer_data`.
    """
    claims, metrics = read_json(reports / "claims.json"), read_json(reports / "metrics.json")
    links = {logged.run.name: logged.link for logged in facts.stages}
    runs = {"claims": links.get("claims"), "figures": links.get("figures"), "the pipeline": facts.pipeline}
    words = {"replaced": replaced(facts.removal), "taken": taken(facts.removal)}
    captions = [replace(c, see=c.see.format(**words)) for c in CAPTIONS]
    figures = [_figure(reports, caption, titles, runs) for caption in captions]
    here = hardware()
    # The stages that used torch know of a GPU.
    gpus = {r.run.tags.get("gpu", "none") for r in facts.stages} - {"none"}
    text = _template().render(
        facts=facts,
        now=time.time(),
        hardware=f"{here['cpu']}, {here['cores']} cores, GPU: {', '.join(sorted(gpus)) or 'none'}",
        versions=", ".join(f"{k} {v}" for k, v in versions().items()),
        claims=claims,
        verdicts={v: [name for name, c in claims.items() if c["verdict"] == v] for v in get_args(Verdict)},
        titles=titles,
        stands_for=stands_for,
        paper_data=PAPER_DATA,
        outcomes=OUTCOMES,
        replaced=words["replaced"],
        captions={c.stem: c for c in captions},
        groups=(
            ("paper", "The paper's figures and table", [f for f in figures if f["caption"].paper]),
            ("beyond", "Beyond the paper", [f for f in figures if not f["caption"].paper]),
        ),
        sizes=size_ratios(metrics, stands_for),
        depends=_depends(reports, metrics, titles, baselines, facts.removal),
        viewer=viewer,
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "viewer.js").read_text(encoding="utf-8"),
    )
    path = reports / "index.html"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "p_value": p_value, "when": when}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template("page.html.j2")


def number(value: float | None) -> str:
    """Three significant digits; – for what is not known.

    Examples
    --------
    >>> number(-0.12345), number(None), number(1234.5)
    ('−0.123', '–', '1234')
    """
    if value is None or not math.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 1 or value == 0 else 3
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """As a reader wants it.

    Examples
    --------
    >>> p_value(0.00001), p_value(0.04321), p_value(1.0), p_value(0.04996)
    ('< 0.0001', '0.043', '1', '0.04996')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value < 1e-4:
        return "< 0.0001"
    if value < 0.001:
        return f"{value:.4f}"
    # No digit less than it takes to tell on which side of the level it lies.
    said = (f"{value:.{digits}g}" for digits in range(2, 18))
    return next(s for s in said if (float(s) < SIGNIFICANCE) == (value < SIGNIFICANCE))


def when(seconds: float) -> str:
    """Seconds since 1970 as a date and time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _figure(
    reports: Path, caption: Caption, titles: Mapping[str, str], runs: Mapping[str, str | None]
) -> dict[str, Any]:
    """A caption with its pictures, by data set where there are several, and its links."""
    folder, stem = reports / "figures", caption.stem
    files = [*folder.glob(f"{stem}.png"), *sorted(folder.glob(f"{stem}-*.png"))]
    found = {file.stem.removeprefix(stem).removeprefix("-"): file for file in files}
    panels = sorted(found, key=lambda panel: list(titles).index(panel) if panel in titles else -1)
    links = {f"data ({caption.data})": caption.data} if caption.data else {}
    links |= {f"{found[panel].stem}.pdf": f"figures/{found[panel].stem}.pdf" for panel in panels}
    links |= {f"MLflow run of {what}": link for what, link in runs.items() if link}
    pictures = {panel: _picture(found[panel]) for panel in panels}
    return {"caption": caption, "pictures": pictures, "links": links}


def _picture(file: Path) -> dict[str, Any]:
    with Image.open(file) as image:
        width, height = image.size
    address = f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
    # Drawn for 200 pixels an inch; a page shows 96.
    return {"address": address, "width": width * 2 // 3, "height": height * 2 // 3}


def _depends(
    reports: Path, metrics: Mapping[str, Any], titles: Mapping[str, str], baselines: Sequence[str], removal: str
) -> dict[str, list[str]]:
    """Topic → sentences."""
    names = ("agreement", "further", "spatial", "ground_truth")
    agreement, further, spatial, truth = (read_csv(reports / f"{name}.csv") for name in names)
    return {
        "Choices of the protocol": sentences.on_choices(agreement, titles, removal),
        "The spatial control": sentences.on_space(spatial, titles),
        "Heatmaps that do not know the network": sentences.on_further(further, titles, lambda e: e in baselines),
        "Other variants": sentences.on_further(further, titles, lambda e: e not in baselines),
        "Heatmaps of nothing": sentences.on_zero_heatmaps(metrics, titles),
        "Ground truth": sentences.on_ground_truth(truth, agreement, titles),
    }
