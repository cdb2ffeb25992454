"""``aopc plan``: what a profile downloads, needs on disk and takes, before any of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from aopc.paper.forecast import plan
from aopc.paper.params import read_settings
from pipeline import ROOT


def test_a_plan_names_every_file_and_says_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "paper")
    monkeypatch.setenv("AOPC_DOWNLOADS", str(tmp_path))
    (tmp_path / "bvlc_reference_caffenet.caffemodel").write_bytes(b"")
    text = plan(read_settings(), rate=10_000.0)
    for part in (
        "ILSVRC2012_img_val.tar: 6.7 GB, needs an account; 5040 of its 50000 images",
        "md5:29b22e2961454d5413ddabcf34fc5622",
        "SUN397.tar.gz: about 39.0 GB, to download",
        "none published; its size, 2341250899 bytes, is checked",
        "bvlc_reference_caffenet.caffemodel: about 244.0 MB, is here",
        # 5040 images × 100 steps × 10 repeats × 8 orders × 3 data sets, and 500 × 100 × 67 × 3 of controls
        "Work: 131.0 million forwards (3 panels, 8 orders, 10 repeats, 100 steps, and the controls)",
        "sun397: 5040 images, 43.7 million forwards at 10000 a second",
        "In all: 3.6 hours",
    ):
        assert part in text
    assert list(tmp_path.iterdir()) == [tmp_path / "bvlc_reference_caffenet.caffemodel"]


def test_a_plan_measures_where_no_rate_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "paper")
    settings = read_settings()
    small = replace(
        settings,
        panels={"ilsvrc2012": replace(settings.panels["ilsvrc2012"], images=2)},
        perturbation=replace(settings.perturbation, steps=3, repeats=1, random_orders=1),
        explainers=("sensitivity-l2", "random"),
    )
    text = plan(small, seconds=0.2)
    assert "measured on" in text
    assert "s an image for all heatmaps" in text
