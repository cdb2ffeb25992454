"""The profiles: one pipeline, each with its own settings; what is committed is of those."""

import json
from pathlib import Path

import yaml

from aopc.explainers.registry import EXPLAINERS
from aopc.paper.readme import with_results
from pipeline import ROOT


def test_every_profile_runs_the_same_pipeline() -> None:
    profiles = sorted(p.parent for p in (ROOT / "profiles").glob("*/params.yaml"))
    assert profiles
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    for profile in profiles:
        link = profile / "dvc.yaml"
        assert link.is_symlink(), f"{link} must be a link to the pipeline in the root"
        assert link.readlink() == Path("../../dvc.yaml")  # so it holds in every clone
        assert link.resolve() == ROOT / "dvc.yaml"
        params = yaml.safe_load((profile / "params.yaml").read_text())
        assert set(params) == sections
        assert (profile / params["package"]).resolve() == ROOT / "src" / "aopc"
        readme = (profile / "README.md").read_text()
        assert with_results(readme, "x") != readme


def test_the_paper_profile_has_the_papers_numbers() -> None:
    """shared/paper.md, Setup."""
    params = yaml.safe_load((ROOT / "profiles" / "paper" / "params.yaml").read_text())
    assert set(params["panels"]) == {"ilsvrc2012", "sun397", "places205"}
    for name, panel in params["panels"].items():
        assert (panel["images"], panel["region_size"]) == (5040, 9)
        assert params["datasets"][name]["test"] == {"count": 5040}
    p = params["perturbation"]
    assert (p["steps"], p["repeats"], p["removal"]) == (100, 10, "uniform")
    assert params["explainers"] == list(EXPLAINERS)
    assert params["limit"] is None


def test_committed_metrics_are_of_the_committed_params() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    metrics = json.loads((ROOT / "reports" / "metrics.json").read_text())
    assert list(metrics) == list(params["panels"])
    for found in metrics.values():
        assert set(found) == set(params["explainers"])
