"""The page, in a real browser: it loads alone, the viewer moves, and everybody can read it.

The page is made of the committed results of the offline default, and of a viewer on a tiny network.
"""

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

import aopc
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.partition import Grid, heatmap_orders, random_orders, ranks_of
from aopc.perturbation.removal import uniform
from aopc.perturbation.protocol import Protocol, curves_of
from aopc.paper.report import words
from aopc.paper.report.captions import CAPTIONS
from aopc.paper.report.page import MOST_BYTES, Facts, LoggedRun, write_page
from aopc.paper.report.viewer import as_pixels, heatmap_picture, images_to_show, viewer_panel
from aopc.base.random import Stream
from aopc.paper.tracking.pending import StageRun
from pipeline import ROOT

SIDE, IDS = 14, ["first", "</script><b>second"]
PREPROCESSING = Preprocessing("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0)
PROTOCOL = Protocol(region_size=3, steps=9, repeats=2, random_orders=2, removal="uniform", seed=4)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)


def model() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, 5))
    with torch.no_grad():
        net[0].weight /= 100
    return net.eval()


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """A panel of the viewer, from a real computation."""
    x = PREPROCESSING.normalise(pixels())
    targets = np.array([1, 3])
    maps = {
        e: aopc.heatmaps(model(), x, e, targets) for e in ("sensitivity-l2", "lrp-epsilon-0.01")
    }
    found = curves_of(
        {**maps, "random": None}, model(), x, targets, IDS, PROTOCOL, PREPROCESSING.value_range
    )
    curves = {e: next(iter(by_order.values())) for e, by_order in found.items()}
    panel = viewer_panel(
        "tiny", "Tiny pictures", PROTOCOL, PREPROCESSING, pixels(), IDS, ["a", "b"], maps, curves
    )
    return {"panel": panel, "maps": maps, "curves": curves}


@pytest.fixture(scope="module")
def page(shown: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def test_the_viewer_holds_the_noise_the_order_and_the_scores_of_the_engine(
    shown: dict[str, Any],
) -> None:
    """Replacing regions as the viewer does gives images to which the network gives these scores."""
    panel = shown["panel"]
    for i, entry in enumerate(panel["images"]):
        original, noise = decoded(entry["image"]), decoded(entry["noise"])
        np.testing.assert_array_equal(original, pixels()[i])
        for explainer in entry["explainers"]:
            ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
            region = Grid(SIDE, SIDE, 3).region_of_pixel
            target = int(shown["curves"][explainer["name"]].targets[i])
            for step in (0, 1, 5, 9):
                replaced = np.where((ranks[region] < step)[..., None], noise, original)
                with torch.no_grad():
                    score = model()(PREPROCESSING.normalise(replaced[None]))[0, target]
                # Noise is rounded to what a picture can hold.
                assert float(score) == pytest.approx(explainer["curve"][step], abs=0.02)


def decoded(address: str) -> np.ndarray:
    kind, _, content = address.partition(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_orders_are_the_engines(shown: dict[str, Any]) -> None:
    grid = Grid(SIDE, SIDE, 3)
    for i, entry in enumerate(shown["panel"]["images"]):
        for explainer in entry["explainers"]:
            name = explainer["name"]
            orders = (
                random_orders(grid, [IDS[i]], 1, 4)[:, 0]
                if name == "random"
                else heatmap_orders(grid, shown["maps"][name][i : i + 1], "morf", [IDS[i]], 4)
            )
            ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
            np.testing.assert_array_equal(ranks, ranks_of(orders)[0])


def test_pixels_come_back_from_the_networks_input() -> None:
    for channels, mean, std, white in (
        ("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0),
        ("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0),
        ("L", (0.3,), (0.2,), 1.0),
    ):
        preprocessing = Preprocessing(channels, mean, std, white)  # type: ignore[arg-type]
        image = pixels()[0, :, :, 0] if channels == "L" else pixels()[0]
        there = preprocessing.normalise(image).numpy()
        np.testing.assert_array_equal(as_pixels(there, preprocessing), image)


def test_heatmaps_keep_their_sign_in_colour() -> None:
    signed = decoded(heatmap_picture(np.array([[-1.0, 0.0, 1.0]])))[0].astype(int)
    assert signed[0, 2] > signed[0, 0]  # blue
    assert (signed[1] >= 250).all()  # white
    assert signed[2, 0] > signed[2, 2]  # red
    plain = decoded(heatmap_picture(np.array([[0.0, 0.5, 1.0]])))[0].astype(int)
    assert plain.sum(axis=1).tolist() == sorted(plain.sum(axis=1).tolist())
    decoded(heatmap_picture(np.zeros((3, 3))))


def test_an_explainer_without_a_curve_is_left_out_of_an_image(shown: dict[str, Any]) -> None:
    """A heatmap that is not finite has no order; NaN in the data would stop the whole viewer."""
    broken = shown["curves"]["lrp-epsilon-0.01"].logits.copy()
    broken[1] = np.nan
    curves = shown["curves"] | {
        "lrp-epsilon-0.01": replace(shown["curves"]["lrp-epsilon-0.01"], logits=broken)
    }
    panel = viewer_panel(
        "tiny", "Tiny", PROTOCOL, PREPROCESSING, pixels(), IDS, ["a", "b"], shown["maps"], curves
    )
    names = [[e["name"] for e in image["explainers"]] for image in panel["images"]]
    assert names == [["sensitivity-l2", "lrp-epsilon-0.01", "random"], ["sensitivity-l2", "random"]]
    json.dumps(panel, allow_nan=False)


AGREEMENT = {
    "data_set": ["p"] * 5,
    "choice": ["paper", "abpc", "blur", "mean", "probability"],
    "rho": [1.0, -0.5, 0.9, 0.8, 1.0],
    "low": [1.0, -0.8, 0.7, 0.6, 0.9],
    "high": [1.0, 0.2, 1.0, 0.9, 1.0],
    "lrp_is_best": ["undecided", "not replicated", "replicated", "replicated", "undecided"],
    "closest": ["deconvolution-l2"] * 5,
    "lead": [0.3, -0.9, 0.31, 0.9, 0.1],
    "lead_low": [-0.1, -1.3, 0.01, 0.5, -0.1],
    "lead_high": [0.7, -0.5, 0.61, 1.3, 0.3],
    "lead_images": [40] * 5,
    "change": [np.nan, -1.2, 0.01, 0.6, np.nan],
    "change_low": [np.nan, -1.5, -0.3, 0.2, np.nan],
    "change_high": [np.nan, -0.9, 0.3, 1.0, np.nan],
}


def test_the_conclusion_depends_on_what_changes_it_measurably() -> None:
    first, *others = words.on_choices(AGREEMENT, {"p": "Pictures", "q": "none"})
    assert "undecided on these 40 images" in first
    assert "As open is it where f is the softmax probability" in first
    lerf, mean, blur = others
    assert "depends on the choice: where regions are removed least relevant first, too" in lerf
    assert "LRP is not best" in lerf
    assert "−0.90 [−1.30, −0.50]" in lerf
    assert "depends on the choice: where regions are replaced by the image's mean colour" in mean
    assert blur.startswith("Pictures: where regions are blurred, LRP is best")
    assert "does not differ measurably" in blur


def test_further_explainers_are_above_where_the_interval_says_so() -> None:
    table = {
        "data_set": ["p"] * 4,
        "further": ["centre-first"] * 3 + ["lrp-alpha2-beta1-lrn-identity"],
        "explainer": ["random", "lrp-epsilon-100", "sensitivity-l2", "random"],
        "difference": [1.0, -1.0, 0.1, 2.0],
        "low": [0.5, -1.5, -0.1, 1.0],
        "high": [1.5, -0.5, 0.3, 3.0],
        "images": [40] * 4,
    }
    (said,) = words.on_further(table, {"p": "P"}, lambda name: name == "centre-first")
    assert said == (
        "P: Centre first is above Random, below LRP ε = 100, not distinguished from Sensitivity ℓ2"
        " (n = 40)."
    )


def test_heatmaps_of_nothing_are_counted() -> None:
    metrics = {"p": {"random": {"zero_heatmaps": 2, "nonfinite_heatmaps": 1, "images": 9}}}
    zero, broken = words.on_zero_heatmaps(metrics, {"p": "P"})
    assert "zero everywhere" in zero
    assert "P, Random: 2 of 9" in zero
    assert "not finite" in broken
    metrics["p"]["random"] |= {"zero_heatmaps": 0, "nonfinite_heatmaps": 0}
    assert words.on_zero_heatmaps(metrics, {"p": "P"}) == [
        "No heatmap is zero everywhere, and all are finite."
    ]


def test_fewer_images_are_shown_where_they_are_large() -> None:
    assert images_to_show(4, 64, 64, 8, 100) == 6
    assert images_to_show(3, 227, 227, 8, 100) in (2, 3, 4)
    assert images_to_show(1, 227, 227, 8, 3) == 3
    assert images_to_show(9, 1000, 1000, 8, 100) == 1


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
        (v["id"], v["nodes"][0]["html"][:100])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert len(found["passes"]) > 10
    tab.context.close()


def test_the_viewer_moves(browser: Any, page: Path, shown: dict[str, Any]) -> None:
    tab = visit(browser, page)
    tab.wait_for_timeout(200)
    tab.select_option("[data-viewer=explainer]", "lrp-epsilon-0.01")
    tab.select_option("[data-viewer=image]", "1")
    tab.wait_for_function(
        "document.getElementById('viewer').dataset.ready.endsWith('second lrp-epsilon-0.01')"
    )
    entry = shown["panel"]["images"][1]
    explainer = next(e for e in entry["explainers"] if e["name"] == "lrp-epsilon-0.01")
    ranks = np.frombuffer(base64.b64decode(explainer["ranks"]), dtype="<u2")
    region = Grid(SIDE, SIDE, 3).region_of_pixel
    places = []
    for step in (0, 4, 9):
        tab.locator("[data-viewer=step]").fill(str(step))
        drawn = decoded(
            tab.evaluate("document.querySelector('[data-viewer=perturbed]').toDataURL()")
        )
        expected = np.where(
            (ranks[region] < step)[..., None], decoded(entry["noise"]), decoded(entry["image"])
        )
        np.testing.assert_array_equal(drawn, expected)
        said = tab.locator("[data-viewer=said]").inner_text()
        assert f"k = {step} of 9 regions: f = {explainer['curve'][step]:.2f}" in said
        places.append(float(tab.locator(".marker").get_attribute("cx")))
    assert places == sorted(set(places))
    assert tab.locator("[data-viewer=heatmap]").get_attribute("src") == explainer["heatmap"]
    tab.select_option("[data-viewer=explainer]", "random")
    tab.wait_for_function(
        "document.getElementById('viewer').dataset.ready.endsWith('second random')"
    )
    assert tab.locator("[data-viewer=heatmap]").is_hidden()
    tab.locator("[data-viewer=step]").fill("0")
    tab.locator("[data-viewer=play]").click()
    tab.wait_for_function("document.querySelector('[data-viewer=step]').value === '9'")
    assert tab.locator("[data-viewer=play]").inner_text() == "Play"
    assert tab.problems == []
    tab.context.close()


def test_noise_of_the_viewer_is_the_first_repeats(shown: dict[str, Any]) -> None:
    x = PREPROCESSING.normalise(pixels()).numpy()
    for i, entry in enumerate(shown["panel"]["images"]):
        noise = uniform(x[i], PREPROCESSING.value_range, Stream(4, "noise", IDS[i], 0))
        np.testing.assert_array_equal(decoded(entry["noise"]), as_pixels(noise, PREPROCESSING))
