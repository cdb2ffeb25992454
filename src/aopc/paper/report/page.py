"""The page: one self-contained HTML file with every figure, claim and number's origin."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from aopc.base.files import atomic, read_csv, read_json
from aopc.base.provenance import hardware, versions
from aopc.paper.claims.evidence import PAPER_DATA
from aopc.paper.readme import size_ratios
from aopc.paper.report import sentences
from aopc.paper.report.captions import CAPTIONS, Caption
from aopc.paper.tracking.pending import StageRun

HERE = Path(__file__).parent
#: The page as a whole may be so large.
MOST_BYTES = 15_000_000

#: Figures with several files, one a data set.
_GROUPS = (
    ("paper", "The paper's figures and table", tuple(c for c in CAPTIONS if c.paper)),
    ("beyond", "Beyond the paper", tuple(c for c in CAPTIONS if not c.paper)),
)


@dataclass(frozen=True)
class LoggedRun:
    """The last run of a stage, and where MLflow shows it, if it does."""

    run: StageRun
    link: str | None


@dataclass(frozen=True)
class Facts:
    """What the page says about where its results are from.

    Attributes
    ----------
    profile
        Name of the profile; "default" is the offline default.
    command
        What regenerates it.
    commit, lock
        Of the code, and the hash of dvc.lock; None where there is none.
    stages
        Last run of each stage here. A stage whose results were the committed ones already did not run.
    pipeline
        Where MLflow shows the last run of the pipeline.
    """

    profile: str
    command: str
    commit: str
    lock: str | None
    stages: Sequence[LoggedRun]
    pipeline: str | None = None


def write_page(
    reports: Path,
    titles: Mapping[str, str],
    stands_for: Mapping[str, str],
    baselines: Sequence[str],
    viewer: Sequence[Mapping[str, Any]],
    facts: Facts,
) -> Path:
    """Write ``index.html`` beside the results in ``reports``.

    Parameters
    ----------
    reports
        Folder with ``metrics.json``, ``claims.json``, the tables and ``figures/``.
    titles
        Data set → title.
    stands_for
        The paper's name of a data set → the panel that stands for it.
    baselines
        Explainers that do not know the network.
    viewer
        Panels as of :func:`aopc.paper.report.viewer.viewer_data`.
    facts
        For the header and the last section.
    """
    claims, metrics = read_json(reports / "claims.json"), read_json(reports / "metrics.json")
    links = {logged.run.name: logged.link for logged in facts.stages}
    links["pipeline"] = facts.pipeline
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=f"Region perturbation, profile “{facts.profile}”",
            summary=_summary(claims, facts.profile),
            facts=_header(facts),
            claims=claims,
            note=_note(titles, stands_for),
            titles={c.stem: c.title for c in CAPTIONS},
            groups=[
                {
                    "id": id,
                    "title": title,
                    "figures": [_figure(reports, c, titles, links, claims) for c in captions],
                }
                for id, title, captions in _GROUPS
            ],
            sizes=_sizes(metrics, stands_for, titles),
            depends=_depends(reports, metrics, titles, baselines),
            reproduce=f"Regenerate it: {facts.command}. The same settings, seeds and versions give the same"
            " numbers; wall times and this date are those of the last run here.",
            machine=_machine(facts),
            stages=[_stage(logged) for logged in facts.stages],
            seconds=sum(r.run.end - r.run.start for r in facts.stages),
            store="; links open while `make ui` runs" if any(links.values()) else "",
            # A class name must not end the script.
            viewer=json.dumps(viewer, separators=(",", ":"), allow_nan=False).replace(
                "<", "\\u003c"
            ),
            css=(HERE / "page.css").read_text(encoding="utf-8"),
            script=(HERE / "viewer.js").read_text(encoding="utf-8"),
        )
    )
    path = reports / "index.html"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"number": number, "p_value": p_value}
    return environment


def number(value: float | None) -> str:
    """Three significant digits; – for what is not known.

    Examples
    --------
    >>> number(-0.12345), number(None), number(1234.5)
    ('−0.123', '–', '1234')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:.0f}".replace("-", "−")
    digits = 2 if abs(value) >= 1 or value == 0 else 3
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """As a reader wants it.

    Examples
    --------
    >>> p_value(0.00001), p_value(0.04321), p_value(1.0)
    ('< 0.0001', '0.043', '1')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value < 1e-4:
        return "< 0.0001"
    return f"{value:.2g}" if value >= 0.001 else f"{value:.4f}"


def _summary(claims: Mapping[str, Any], profile: str) -> str:
    found: dict[str, list[str]] = {}
    for name, claim in claims.items():
        found.setdefault(claim["verdict"], []).append(name)
    parts = [
        f"{len(found[v])} {v} ({', '.join(found[v])})"
        for v in ("replicated", "not replicated", "undecided", "could not run")
        if v in found
    ]
    text = f"Of the paper's {len(claims)} claims, on this profile's data: {'; '.join(parts)}."
    if profile == "default":
        text += (
            " The data are drawn pictures and small digits with small networks, in the place of the"
            " paper's: these verdicts say nothing about ImageNet."
        )
    return text


def _note(titles: Mapping[str, str], stands_for: Mapping[str, str]) -> str:
    pairs = [
        f"{titles[stands_for[p]]} for {name}"
        for p, name in PAPER_DATA.items()
        if p in stands_for and titles[stands_for[p]] != name
    ]
    return f"; here stands {', '.join(pairs)}" if pairs else ""


def _header(facts: Facts) -> list[tuple[str, str]]:
    seconds = sum(r.run.end - r.run.start for r in facts.stages)
    return [
        ("Profile", facts.profile),
        ("Date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Git commit", facts.commit),
        ("dvc.lock", facts.lock or "none"),
        ("Hardware", _hardware(facts)),
        ("Versions", ", ".join(f"{k} {v}" for k, v in versions().items())),
        ("Wall time", f"{seconds:.0f} s in {len(facts.stages)} stages, each when it last ran"),
    ]


def _hardware(facts: Facts) -> str:
    # The stages that used torch know of a GPU.
    found = hardware()
    gpus = {r.run.tags.get("gpu", "none") for r in facts.stages} - {"none"}
    return f"{found['cpu']}, {found['cores']} cores, GPU: {', '.join(sorted(gpus)) or 'none'}"


def _machine(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("Command", facts.command),
        ("Code", facts.commit),
        ("Inputs and outputs", f"dvc.lock {facts.lock or 'none'}"),
        ("Hardware", _hardware(facts)),
    ]


def _stage(logged: LoggedRun) -> dict[str, Any]:
    run = logged.run
    return {
        "name": run.name,
        "seconds": run.end - run.start,
        "when": datetime.fromtimestamp(run.end, UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": _short(run.tags.get("git_commit", "unknown")),
        "link": logged.link,
    }


def _short(commit: str) -> str:
    head, _, dirty = commit.partition("-")
    return f"{head[:10]}{' and changes' if dirty else ''}"


def _figure(
    reports: Path,
    caption: Caption,
    titles: Mapping[str, str],
    links: Mapping[str, str | None],
    claims: Mapping[str, Any],
) -> dict[str, Any]:
    files = sorted(
        (reports / "figures").glob(f"{caption.stem}*.png"),
        key=lambda f: (
            [*titles, ""].index(_panel(f, caption)) if _panel(f, caption) in titles else -1
        ),
    )
    files = [f for f in files if f.stem == caption.stem or f.stem.startswith(f"{caption.stem}-")]
    given: list[tuple[str, str]] = []
    if caption.data:
        given.append((f"data ({caption.data})", caption.data))
    given += [(f"{f.stem}.pdf", f"figures/{f.stem}.pdf") for f in files]
    for stage in ("claims", "figures"):
        link = links.get(stage)
        if link:
            given.append((f"MLflow run of {stage}", link))
    whole = links.get("pipeline")
    if whole:
        given.append(("MLflow run of the pipeline", whole))
    whys = [claims[c]["reading"] for c in caption.claims if claims[c]["verdict"] == "could not run"]
    missing = f"Not drawn on this profile: {whys[0]}." if whys else "Not drawn on this profile."
    return {
        "caption": caption,
        "pictures": [_picture(f, caption, titles) for f in files],
        "links": given,
        "missing": missing,
    }


def _panel(file: Path, caption: Caption) -> str:
    return file.stem.removeprefix(caption.stem).removeprefix("-")


def _picture(file: Path, caption: Caption, titles: Mapping[str, str]) -> dict[str, Any]:
    with Image.open(file) as image:
        width, height = image.size
    panel = _panel(file, caption)
    of = f", {titles.get(panel, panel)}" if panel else ""
    content = base64.b64encode(file.read_bytes()).decode()
    return {
        "address": f"data:image/png;base64,{content}",
        # Drawn for 200 pixels an inch; a page shows 96.
        "width": width * 2 // 3,
        "height": height * 2 // 3,
        "alt": f"{caption.title}{of}",
    }


def _sizes(
    metrics: Mapping[str, Any], stands_for: Mapping[str, str], titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "measure": f"{row['format']}, {row['method']}",
            "data_set": row["data_set"],
            "panel": titles[row["panel"]],
            "paper": row["paper"],
            "ours": row["ours"],
            "difference": row["ours"] - row["paper"],
        }
        for row in size_ratios(metrics, stands_for)
    ]


def _depends(
    reports: Path,
    metrics: Mapping[str, Any],
    titles: Mapping[str, str],
    baselines: Sequence[str],
) -> list[tuple[str, list[str]]]:
    tables = {
        name: read_csv(reports / f"{name}.csv")
        for name in ("agreement", "further", "spatial", "ground_truth")
    }
    return [
        ("Choices of the protocol", sentences.on_choices(tables["agreement"], titles)),
        ("The spatial control", sentences.on_space(tables["spatial"], titles)),
        (
            "Heatmaps that do not know the network",
            sentences.on_further(tables["further"], titles, lambda name: name in baselines),
        ),
        (
            "Other variants",
            sentences.on_further(tables["further"], titles, lambda name: name not in baselines),
        ),
        ("Heatmaps of nothing", sentences.on_zero_heatmaps(metrics, titles)),
        (
            "Ground truth",
            sentences.on_ground_truth(tables["ground_truth"], tables["agreement"], titles),
        ),
    ]
