"""The page, in a real browser: it loads alone, the viewer moves, and everybody can read it.

The page is made of the committed results of the offline default, and of a viewer on a tiny network.
"""

import base64
import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from aopc.paper.report.captions import CAPTIONS
from aopc.paper.report.page import MOST_BYTES, Facts, p_value, write_page
from aopc.paper.tracking.pending import LoggedRun, StageRun
from aopc.perturbation.partition import Grid
from pipeline import ROOT
from tiny_panel import SIDE, decoded

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(shown: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(shown, tmp_path_factory)


def written(shown: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, **facts: Any) -> Path:
    reports = tmp_path_factory.mktemp("page") / "reports"
    shutil.copytree(ROOT / "reports", reports, ignore=shutil.ignore_patterns("index.html", "*.pdf"))
    panels = yaml.safe_load((ROOT / "params.yaml").read_text())["panels"]
    run = StageRun("claims", start=1.0, end=3.5, status="FINISHED")
    run.tags = {"git_commit": "0123456789abcdef-dirty", "gpu": "none"}
    stages = [LoggedRun(run, "http://127.0.0.1:5000/#/experiments/1/runs/2"), LoggedRun(run, None)]
    return write_page(
        reports,
        {name: p["title"] for name, p in panels.items()},
        {p["stands_for"]: name for name, p in panels.items() if "stands_for" in p},
        ["centre-first", "image-edges"],
        [shown["panel"]],
        Facts(
            "default",
            "make repro",
            "0123456789",
            "f00d",
            stages,
            "http://127.0.0.1:5000/#/experiments/1/runs/9",
            **facts,
        ),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("there is no chromium here to look at the page with")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


def visit(browser: Any, page: Path, width: int = 1440, scheme: str = "light") -> Any:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    tab = context.new_page()
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("data:", page.as_uri()))
            else tab.problems.append(f"request to {request.url}")
        ),
    )
    tab.goto(page.as_uri())
    tab.wait_for_function("document.getElementById('viewer').dataset.ready")
    return tab


def test_the_page_stands_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST_BYTES
    for pattern in (
        r'src="(?!data:)',
        r"<link[^>]+href=\"(?!data:)",
        r"@import",
        r"url\((?!data:)",
    ):
        assert not re.search(pattern, text), pattern
    for caption in CAPTIONS:
        assert f'id="{caption.stem}"' in text
    claims = json.loads((ROOT / "reports" / "claims.json").read_text())
    for name, found in claims.items():
        assert f'id="{name}"' in text
        assert found["verdict"] in text
    for name in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{name}"' in text
    for name in re.findall(r'href="([^"#:]+\.(?:csv|json))"', text):
        assert (page.parent / name).exists()
    for fact in (
        "Git commit",
        "dvc.lock",
        "Hardware",
        "Versions",
        "Wall time",
        "f00d",
        "make repro",
    ):
        assert fact in text
    assert "http://127.0.0.1:5000/#/experiments/1/runs/2" in text
    assert text.count("http://127.0.0.1:5000/#/experiments/1/runs/9") == len(CAPTIONS)
    assert "<b>second" not in text  # names are data, not markup


def test_the_replications_page_says_what_it_is(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "<title>Region perturbation, profile “default”</title>" in text
    assert 'class="variant"' not in text
    assert "regions are replaced by noise first" in text
    assert "so many regions were replaced by noise." in text
    assert "as the paper takes it, LRP is best" in text
    assert "{replaced}" not in text
    assert "{taken}" not in text


def test_a_variants_page_says_so_and_what_its_settings_are(
    shown: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = ["limit: null → 10", "perturbation.removal: uniform → blur"]
    page = written(shown, tmp_path_factory, changes=changes, removal="blur")
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "<title>Region perturbation, a variant of profile “default”</title>" in text
    assert "<dt>Profile</dt><dd>default, a variant</dd>" in text
    banner = text[text.index('class="variant"') :].partition("</div>")[0]
    for change in changes:
        assert f"<li>{change}</li>" in banner
    assert "regions are blurred first" in text
    assert "so many regions were blurred." in text
    assert "with regions that are blurred, LRP is best" in text
    # No sentence of this run speaks of the paper's choice or of noise in the place of regions.
    for wrong in ("replaced by noise", "as the paper takes it", "the paper's choice", "patch of noise"):
        assert wrong not in text, wrong


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_and_fits(browser: Any, page: Path, width: int, scheme: str) -> None:
    tab = visit(browser, page, width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = tab.evaluate(
        """() => [...document.body.querySelectorAll('*')]
          .filter((e) => !e.closest('.scroll, svg, .skip'))
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 1
                      || (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline'
                          && e.clientWidth > 0 && e.tagName !== 'SELECT'))
          .map((e) => e.tagName + ': ' + e.textContent.trim().slice(0, 40))"""
    )
    assert wide == []
    assert tab.problems == []
    tab.context.close()


def test_paper_shows_all_of_it(browser: Any, page: Path) -> None:
    """At the width of A4: what folds is open, and nothing lies beyond the edge, where it would be cut off."""
    tab = visit(browser, page, 718)
    tab.emulate_media(media="print")
    count = """() => [
      [...document.querySelectorAll('details dl')].filter((e) => !e.checkVisibility({contentVisibilityAuto: true})).length,
      [...document.querySelectorAll('main td, main th, main img')]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length,
    ]"""
    with contextlib.suppress(Exception):  # pictures may still be loading; what is wrong stays so
        tab.wait_for_function(f"() => ({count})().every((n) => n === 0)")
    hidden, beyond = tab.evaluate(count)
    assert (hidden, beyond) == (0, 0)
    tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(browser: Any, page: Path, scheme: str) -> None:
    """axe-core (the file that axe-playwright-python brings) finds nothing serious."""
    import axe_playwright_python

    tab = visit(browser, page, scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    axe = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    tab.evaluate(axe)
    found = tab.evaluate("axe.run()")
    serious = [
        (v["id"], v["nodes"][0]["html"][:100]) for v in found["violations"] if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert len(found["passes"]) > 10
    tab.context.close()


def test_the_viewer_moves(browser: Any, page: Path, shown: dict[str, Any]) -> None:
    tab = visit(browser, page)
    tab.wait_for_timeout(200)
    tab.select_option("[data-viewer=explainer]", "lrp-epsilon-0.01")
    tab.select_option("[data-viewer=image]", "1")
    tab.wait_for_function("document.getElementById('viewer').dataset.ready.endsWith('second lrp-epsilon-0.01')")
    entry = shown["panel"]["images"][1]
    explainer = next(e for e in entry["explainers"] if e["name"] == "lrp-epsilon-0.01")
    ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
    region = Grid(SIDE, SIDE, 3).region_of_pixel
    places = []
    for step in (0, 4, 9):
        tab.locator("[data-viewer=step]").fill(str(step))
        drawn = decoded(tab.evaluate("document.querySelector('[data-viewer=perturbed]').toDataURL()"))
        expected = np.where((ranks[region] < step)[..., None], decoded(entry["noise"]), decoded(entry["image"]))
        np.testing.assert_array_equal(drawn, expected)
        said = tab.locator("[data-viewer=said]").inner_text()
        assert f"k = {step} of 9 regions: f = {explainer['curve'][step]:.2f}" in said
        places.append(float(tab.locator(".marker").get_attribute("cx")))
    assert places == sorted(set(places))
    assert tab.locator("[data-viewer=heatmap]").get_attribute("src") == explainer["heatmap"]
    tab.select_option("[data-viewer=explainer]", "random")
    tab.wait_for_function("document.getElementById('viewer').dataset.ready.endsWith('second random')")
    assert tab.locator("[data-viewer=heatmap]").is_hidden()
    tab.locator("[data-viewer=step]").fill("0")
    tab.locator("[data-viewer=play]").click()
    tab.wait_for_function("document.querySelector('[data-viewer=step]').value === '9'")
    assert tab.locator("[data-viewer=play]").inner_text() == "Play"
    assert tab.problems == []
    tab.context.close()


@pytest.mark.parametrize("p", [0.0496, 0.04999, 0.0499999999, 0.0504, 0.05])
def test_no_p_value_is_shown_on_the_other_side_of_the_level(p: float) -> None:
    assert (float(p_value(p)) < 0.05) == (p < 0.05)
