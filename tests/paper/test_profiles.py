"""The profiles: one pipeline, each with its own settings; what is committed is of those."""

import json
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from aopc.explainers.registry import EXPLAINERS
from aopc.paper.params import read_params
from aopc.paper.readme import with_results
from aopc.paper.variant import PUBLISHED, Variant, variant_of
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


@pytest.mark.parametrize("folder", [ROOT, *sorted((ROOT / "profiles").iterdir())], ids=lambda p: p.name)
def test_dvc_changes_the_value_and_no_layout(folder: Path, tmp_path: Path) -> None:
    """`dvc exp run -S` writes params.yaml anew, by this function; what it writes must be what stands there."""
    own, copy = folder / "params.yaml", tmp_path / "params.yaml"
    for change, before, after in (
        ("seed=0", "seed: 0\n", "seed: 0\n"),
        ("limit=10", "limit:\n", "limit: 10\n"),
        ("perturbation.removal=blur", "  removal: uniform\n", "  removal: blur\n"),
        ("perturbation.orders=[lerf]", "  orders:\n  - morf\n", "  orders:\n  - lerf\n"),
    ):
        copy.write_text(own.read_text(encoding="utf-8"), encoding="utf-8")
        apply_overrides(copy, [change])
        assert copy.read_text(encoding="utf-8") == own.read_text(encoding="utf-8").replace(before, after)
    apply_overrides(copy, ["limit=10"])
    apply_overrides(copy, ["limit=null", "perturbation.orders=[morf]"])
    assert copy.read_text(encoding="utf-8") == own.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", [ROOT, *sorted((ROOT / "profiles").iterdir())], ids=lambda p: p.name)
def test_committed_parameters_are_the_profiles_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of params.yaml: `aopc adopt`, and the results anew. The paper's profile publishes none yet."""
    monkeypatch.chdir(folder)
    assert (folder / PUBLISHED).is_file() == (folder / "reports" / "claims.json").is_file()
    assert variant_of(read_params()) == Variant(())
