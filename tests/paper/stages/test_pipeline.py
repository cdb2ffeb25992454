"""The pipeline as DVC runs it, on a profile that takes seconds."""

import contextlib
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from aopc.base.files import write_array
from aopc.paper.readme import results_table
from pipeline import execute, logged_runs, new_repository, ran, settings


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline with digits only, one epoch, three explainers, eight images."""
    folder = new_repository(tmp_path_factory.mktemp("repository"))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["datasets"] = {"digits": params["datasets"]["digits"]}
    network = {**params["networks"]["digits"]["lenet"], "epochs": 1, "checkpoints": [5, 20, 37]}
    strided = {**params["networks"]["digits"]["strided"], "epochs": 1}
    params["networks"] = {"digits": {"lenet": network, "strided": strided}}
    params["digits"] |= {"images": 30}
    params["controls"] |= {"images": 4, "removals": ["mean"], "places": 1}
    training = {**params["checkpoints"]["objects"], "network": "lenet", "images": 6}
    params["checkpoints"] = {"digits": {**training, "region_size": 2, "title": "LeNet"}}
    params["panels"] = {"digits": {**params["panels"]["digits"], "images": 8}}
    params["explainers"] = ["sensitivity-l2", "lrp-alpha2-beta1", "random"]
    params["perturbation"] |= {"steps": 5, "repeats": 2, "random_orders": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def change(folder: Path, *path: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    section = params
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_repro_runs_everything_once_and_then_only_what_changed(repository: Path) -> None:
    first = ran(execute(repository, "dvc", "repro"))
    assert len(first) == 12
    metrics = json.loads((repository / "reports" / "metrics.json").read_text())
    assert metrics["digits"]["lrp-alpha2-beta1"]["images"] == 8
    training = json.loads((repository / "reports" / "checkpoints.json").read_text())["digits"]
    assert (training["checkpoints"], training["images"], training["test_images"]) == (3, 6, 599)
    assert -1 <= training["low"] <= training["rho"] <= training["high"] <= 1
    drawn = [f"figure{i}" for i in range(1, 6)] + ["figure6-digits", "figure7-digits", "table1"]
    for name in (*drawn, "choices", "spatial"):  # an agreement takes three explainers
        for suffix in ("png", "pdf"):
            assert (repository / "reports" / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    claims = json.loads((repository / "reports" / "claims.json").read_text())
    assert list(claims) == [f"C{i}" for i in range(1, 12)]
    assert "no panel of this profile stands for" in claims["C1"]["reading"]
    assert claims["C11"]["verdict"] != "could not run"
    readme = (repository / "README.md").read_text()
    assert results_table(claims, metrics, {}) in readme
    page = (repository / "reports" / "index.html").read_text()
    assert "profile “default”" in page
    assert page.count("http://127.0.0.1:5000/#/experiments/") >= 11  # each stage's run in MLflow

    assert ran(execute(repository, "dvc", "repro")) == []

    kept = [
        repository / "data" / "heatmaps" / "digits" / "sensitivity-l2" / "heatmaps.npy",
        repository / "data" / "curves" / "digits" / "sensitivity-l2.parquet",
        repository / "data" / "controls" / "digits" / "lerf" / "sensitivity-l2.parquet",
    ]
    written = [path.stat().st_mtime_ns for path in kept]
    change(
        repository,
        "explainers",
        value=["sensitivity-l2", "lrp-alpha2-beta1", "lrp-epsilon-0.01", "random"],
    )
    added = ran(execute(repository, "dvc", "repro"))
    assert set(added) == {
        *(f"{stage}@digits" for stage in ("heatmaps", "perturbation", "controls")),
        *("complexity", "claims", "figures", "publish"),
    }
    assert (repository / "data" / "curves" / "digits" / "lrp-epsilon-0.01.parquet").exists()
    # What was right before is not computed again.
    assert [path.stat().st_mtime_ns for path in kept] == written

    change(repository, "perturbation", "steps", value=6)
    change(repository, "explainers", value=["sensitivity-l2", "lrp-alpha2-beta1", "random"])
    changed = ran(execute(repository, "dvc", "repro"))
    stages = {"heatmaps", "perturbation", "controls", "checkpoints", "claims", "figures", "publish"}
    assert {name.split("@")[0] for name in changed} == stages
    assert kept[0].stat().st_mtime_ns == written[0]
    assert kept[1].stat().st_mtime_ns != written[1]
    assert not (repository / "data" / "curves" / "digits" / "lrp-epsilon-0.01.parquet").exists()

    training = yaml.safe_load((repository / "params.yaml").read_text())["checkpoints"]
    change(repository, "checkpoints", value={})  # a profile that trains nothing has no Figure 7
    shorter = ran(execute(repository, "dvc", "repro"))
    assert shorter == ["checkpoints", "claims", "figures", "publish"]
    assert json.loads((repository / "reports" / "checkpoints.json").read_text()) == {}
    assert not (repository / "reports" / "figures" / "figure7-digits.png").exists()
    change(repository, "checkpoints", value=training)

    shown = execute(repository, "dvc", "metrics", "show", "--json")
    assert "lrp-alpha2-beta1" in shown.stdout
    plots = execute(repository, "dvc", "plots", "show", "-o", "plots")
    assert plots.returncode == 0, plots.stderr

    runs = logged_runs(repository / "mlflow.db")
    parents = [r for r in runs if r.data.tags["mlflow.runName"] == "pipeline"]
    children = [r for r in runs if r not in parents]
    assert len(parents) == 4
    # All stages but publish; the explainers of the first run come from DVC's cache of runs.
    assert len(children) == 11 + 6 + 6 + 3
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {p.info.run_id for p in parents}
    curves = [r for r in children if r.data.tags["mlflow.runName"] == "perturbation@digits"][-1]
    expected = {f"lrp-alpha2-beta1/{name}" for name in ("aopc", "aopc_low", "aopc_high")}
    assert {*expected, "forwards_per_second"} <= set(curves.data.metrics)
    assert {"git_commit", "cpu", "torch"} <= set(curves.data.tags)


@pytest.mark.whole_pipelines
def test_a_variant_is_marked_and_logged_where_it_stays(repository: Path) -> None:
    """An experiment in a folder that DVC deletes afterwards leaves its runs in the checkout, and nothing else there."""
    for command in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "results"]):
        assert execute(repository, "git", *command).returncode == 0
    names = ("README.md", "params.yaml", "dvc.lock", "reports/results.md", "reports/index.html")
    before = {name: (repository / name).read_bytes() for name in names}
    done = execute(repository, "dvc", "exp", "run", "--temp", "-S", "perturbation.removal=blur")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not the replication (perturbation.removal: uniform → blur): README.md stays as it is" in done.stdout
    assert {name: (repository / name).read_bytes() for name in names} == before
    variants = [r for r in logged_runs(repository / "mlflow.db") if "variant" in r.data.tags]
    assert {r.data.tags["variant"] for r in variants} == {"perturbation.removal: uniform → blur"}
    (parent,) = [r for r in variants if r.data.tags["mlflow.runName"] == "pipeline (variant)"]
    table = repository / "mlartifacts" / parent.info.run_id / "artifacts" / "reports" / "results.md"
    assert table.read_text().startswith("**This is a variant of the profile default, not the replication (")


STAGE = (sys.executable, "-m", "aopc.paper.stages")


def published(repository: Path) -> dict[str, bytes]:
    """Every output of every stage."""
    files = [p for name in ("data", "reports") for p in sorted((repository / name).rglob("*")) if p.is_file()]
    return {str(p.relative_to(repository)): p.read_bytes() for p in files if p.name not in ("index.html", ".gitignore")}


def require_same(found: dict[str, bytes], expected: dict[str, bytes], alone: str) -> None:
    """The same to the byte, but for what was computed alone after it had been computed among others: to rounding."""
    old, new = (pd.read_parquet(io.BytesIO(files[alone])) for files in (expected, found))
    for name in ("logits", "probabilities"):
        np.testing.assert_allclose(np.stack(new[name]), np.stack(old[name]), rtol=1e-4, atol=1e-4)
    assert found.keys() == expected.keys()
    assert [name for name, content in expected.items() if found[name] != content and name != alone] == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def write_array_in(repository: Path, path: Path, values: np.ndarray) -> None:
    with contextlib.chdir(repository):
        write_array(path.relative_to(repository), values)


@pytest.mark.whole_pipelines
def test_damaged_files_are_refused_by_who_reads_them_and_made_again_by_repro(repository: Path) -> None:
    """Reversed, flipped, cut off, exchanged; one plain `dvc repro` leads back to the same bytes."""
    ran(execute(repository, "dvc", "repro"))
    whole, data = published(repository), repository / "data"
    maps = [data / "heatmaps" / "digits" / e / "heatmaps.npy" for e in ("lrp-alpha2-beta1", "sensitivity-l2")]
    np.save(maps[0], np.load(maps[0])[::-1].copy())
    shutil.copy(data / "heatmaps" / "digits" / "random" / "heatmaps.npy", maps[1])
    flip(data / "curves" / "digits" / "sensitivity-l2.parquet")
    control = data / "controls" / "digits" / "lerf" / "sensitivity-l2.parquet"
    control.write_bytes(control.read_bytes()[:-9])
    for name in ("panels/digits/logits.npy", "complexity/digits.parquet", "networks/digits/lenet.pt"):
        flip(data / name)
    for stage, file, makes in (
        ("decide", "data/curves/digits/sensitivity-l2.parquet", "perturbation@digits"),
        ("draw", "data/heatmaps/digits/", "heatmaps@digits"),
        ("publish", "data/", "@digits"),
    ):
        done = execute(repository, *STAGE, stage)
        assert done.returncode == 2
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("aopc: ")]
        assert file in line
        assert makes in line
        assert "dvc repro --force --single-item" in line
    ran(execute(repository, "dvc", "repro"))
    require_same(published(repository), whole, str(control.relative_to(repository)))
    assert "up to date" in execute(repository, "dvc", "status").stdout
    # Of another run: whole, in their place, but not those that the curves are of.
    write_array_in(repository, maps[0], np.load(maps[0])[::-1].copy())
    said = execute(repository, *STAGE, "decide").stderr
    assert "lrp-alpha2-beta1.parquet is not of the heatmaps in data/heatmaps/digits/lrp-alpha2-beta1" in said
    table = repository / "reports" / "figure4.csv"
    table.write_text(table.read_text().replace("1", "2", 1))
    said = execute(repository, *STAGE, "draw").stderr
    assert "reports/figure4.csv is not what the stage claims wrote" in said
    ran(execute(repository, "dvc", "repro"))
    require_same(published(repository), whole, str(control.relative_to(repository)))
    notes(repository)


def notes(repository: Path) -> list[tuple[str, str]]:
    """What runs left since the last call: stage and status."""
    paths = sorted((repository / ".cache" / "pending").glob("[0-9]*.json"))
    found = [json.loads(path.read_text()) for path in paths]
    for path in paths:
        path.unlink()
    return [(note["name"], note["status"]) for note in found]


def test_a_stage_by_hand_gives_the_same_and_says_errors(repository: Path) -> None:
    target = repository / "data" / "heatmaps" / "digits" / "lrp-alpha2-beta1" / "heatmaps.npy"
    other = repository / "data" / "heatmaps" / "digits" / "sensitivity-l2" / "heatmaps.npy"
    expected, kept = target.read_bytes(), other.stat().st_mtime_ns
    target.unlink()
    done = execute(repository, *STAGE, "explain", "digits")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == expected
    assert other.stat().st_mtime_ns == kept
    assert notes(repository) == [("heatmaps@digits", "FINISHED")]
    change(repository, "explainers", value=["lrp-alpha2-beta", "random"])
    wrong = execute(repository, *STAGE, "explain", "digits")
    change(repository, "explainers", value=["sensitivity-l2", "lrp-alpha2-beta1", "random"])
    assert wrong.returncode == 2
    assert "did you mean 'lrp-alpha2-beta1'" in wrong.stderr
    assert target.exists()
    assert "Traceback" not in wrong.stderr
    assert notes(repository) == []  # refused before a run began


def test_stages_say_what_is_wrong_with_params(tmp_path: Path) -> None:
    stage = [*STAGE, "gather", "digits"]
    assert "no params.yaml here" in execute(tmp_path, *stage).stderr
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    done = execute(tmp_path, *stage)
    assert done.returncode == 2
    assert "aopc: params.yaml lacks datasets, networks, panels" in done.stderr
    (tmp_path / "params.yaml").write_text("seed: [0\n")
    assert "not valid YAML" in execute(tmp_path, *stage).stderr
    unknown = execute(tmp_path, *STAGE, "heatmap")
    assert unknown.returncode != 0
    assert "usage" in unknown.stderr


def interrupted(repository: Path, stop: signal.Signals, began: Callable[[], object]) -> str:
    """Stop the stage ``perturbation@digits`` once it has begun; returns what it said."""
    caller = subprocess.Popen(
        [*STAGE, "perturb", "digits"],
        cwd=repository,
        env=settings(),
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    _wait(began)
    caller.send_signal(stop)
    _, said = caller.communicate(timeout=60)
    assert caller.returncode == {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[stop]
    return said


def parts_of(repository: Path) -> set[Path]:
    """The finished parts of computations that were interrupted."""
    return set((repository / ".cache" / "parts").glob("*/[0-9]*"))


def test_an_interruption_ends_a_stage_cleanly(repository: Path) -> None:
    change(repository, "perturbation", "repeats", value=20_000)  # minutes of work
    folder = repository / ".cache" / "parts"
    locks = set(folder.glob("*.lock"))
    said = interrupted(repository, signal.SIGINT, lambda: set(folder.glob("*.lock")) - locks)
    change(repository, "perturbation", "repeats", value=2)
    assert "KeyboardInterrupt" not in said
    assert notes(repository) == [("perturbation@digits", "KILLED")]


def test_a_killed_stage_goes_on_with_the_same_result(repository: Path) -> None:
    """Parts survive, are used, and lie nowhere afterwards; curves are the same to the byte."""
    # Several parts of the work, each of seconds.
    change(repository, "panels", "digits", "images", value=120)
    change(repository, "perturbation", "repeats", value=20)
    for stage in (["predict"], ["explain", "digits"]):
        assert execute(repository, *STAGE, *stage).returncode == 0
    curves = repository / "data" / "curves" / "digits"
    _remove(curves)
    assert execute(repository, *STAGE, "perturb", "digits").returncode == 0
    whole = hashes(curves)
    assert len(whole) == 3
    _remove(curves)
    assert parts_of(repository) == set()
    interrupted(repository, signal.SIGKILL, lambda: len(parts_of(repository)) >= 3)
    kept = {path: path.stat().st_mtime_ns for path in parts_of(repository)}
    assert kept
    assert hashes(curves) == {}
    resumed = subprocess.Popen([*STAGE, "perturb", "digits"], cwd=repository, env=settings())
    while resumed.poll() is None:
        for path in kept:
            with contextlib.suppress(FileNotFoundError):  # removed at the end
                assert path.stat().st_mtime_ns == kept[path]  # it is not written again
        time.sleep(0.02)
    assert resumed.returncode == 0
    assert hashes(curves) == whole
    assert parts_of(repository) == set()


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def _wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.1)
