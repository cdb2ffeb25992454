"""An evaluation from images to files: what is written, what survives a kill, when it stops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.base.errors import InputError
from aopc.base.files import read_csv, read_table
from aopc.base.random import Stream
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from aopc.engine.curves import perturbation_curves
from aopc.experiment.evaluate import Evaluation, evaluate
from aopc.experiment.store import read_curves
from aopc.experiment.terminal import outcome_table
from aopc.measures.aopc import aopc_curves
from aopc.measures.statistics.stopping import StoppingRule
from aopc.perturbation.order import Ranking
from aopc.perturbation.partition import Grid
from aopc.perturbation.presets import PRESETS
from aopc.perturbation.protocol import CONDITIONS, Condition, Protocol, condition_named
from aopc.perturbation.spatial_control import at_random_places
from pets import CLASSES, Counter, evaluation_of, options, run, write_pets


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("inputs"))


def test_evaluate_writes_metrics_tables_and_figure(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "results"
    assert run(monkeypatch, *options(inputs, out)) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["pets"]) == {"sensitivity-l2", "lrp-epsilon-100", "random"}
    assert metrics["pets"]["random"]["images"] == 3
    curves = read_curves(out / "curves" / "lrp-epsilon-100.parquet")["morf"]
    assert curves.logits.shape == (3, 1, 4)
    assert aopc.aopc(curves) == pytest.approx(metrics["pets"]["lrp-epsilon-100"]["aopc"], abs=1e-6)
    assert len(read_table(out / "complexity.parquet")["image"]) == 9
    assert np.load(out / "heatmaps" / "sensitivity-l2.npy").shape == (3, 224, 224)
    for name in ("figure4.png", "figure4.pdf", "figure4.csv", "paired_differences.csv"):
        assert (out / name).stat().st_size > 200
    assert not (out / "conditions").exists()
    assert not (out / "conditions.csv").exists()
    printed = capsys.readouterr().out
    assert "top-1 accuracy" in printed
    assert "lrp-epsilon-100" in printed
    assert not (tmp_path / "results.partial").exists()


def test_results_never_replace_what_is_not_theirs(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "notes.txt").write_text("kept")
    for out in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt" / "x"):
        assert run(monkeypatch, *options(inputs, out)) == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert run(monkeypatch, *options(inputs, tmp_path / "new")) == 0
    assert (tmp_path / "new.partial" / "notes.txt").read_text() == "kept"
    # A second run replaces the first one's results as a whole.
    assert run(monkeypatch, *options(inputs, tmp_path / "new", explainers="sensitivity-l2")) == 0
    names = {p.stem for p in (tmp_path / "new" / "curves").iterdir()}
    assert names == {"sensitivity-l2", "random"}


def test_an_explainer_that_is_never_finite_costs_only_itself(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "never.py").write_text("def nan(model, images, targets):\n    return images.sum(1) * float('nan')\n")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    assert run(monkeypatch, *options(inputs, out, explainers="never:nan,sensitivity-l2")) == 0
    metrics = json.loads((out / "metrics.json").read_text())["pets"]
    assert metrics["never:nan"]["aopc"] is None
    assert metrics["never:nan"]["nonfinite_heatmaps"] == 3
    assert metrics["sensitivity-l2"]["images"] == 3


def same_files(folder: Path, other: Path) -> None:
    """Both hold the same files, to the byte."""
    files, others = ({p.relative_to(root) for p in root.rglob("*.*")} for root in (folder, other))
    assert files == others
    for path in files:
        assert (folder / path).read_bytes() == (other / path).read_bytes(), path


@pytest.mark.parametrize("conditions", [(), ("lerf", "mean")])
def test_a_killed_run_goes_on_with_the_same_result(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conditions: tuple[str, ...]
) -> None:
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
    more = {"conditions": [CONDITIONS[c] for c in conditions]}
    whole = Counter()
    evaluate(replace(evaluation_of(inputs, whole), **more), tmp_path / "whole")
    killed = Counter(stop_at=whole.seen // 2)
    with pytest.raises(KeyboardInterrupt):
        evaluate(replace(evaluation_of(inputs, killed), **more), tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    assert (tmp_path / "resumed.partial").exists()
    second = Counter()
    evaluate(replace(evaluation_of(inputs, second), **more), tmp_path / "resumed")
    assert second.seen < 0.8 * whole.seen
    assert not (tmp_path / "resumed.partial").exists()
    same_files(tmp_path / "whole", tmp_path / "resumed")


def test_other_settings_do_not_reuse_the_parts_of_a_killed_run(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate(evaluation_of(inputs, Counter(stop_at=250)), out)
    fresh = Counter()
    job = evaluation_of(inputs, fresh)
    other = replace(job.network, origin={"model": "another"})
    evaluate(replace(job, network=other), out)
    whole = Counter()
    evaluate(evaluation_of(inputs, whole), tmp_path / "whole")
    assert fresh.seen == whole.seen


def test_zero_heatmaps_are_reported_by_image(inputs: Path, tmp_path: Path) -> None:
    dead = Counter()
    nn.init.zeros_(dead.head[1].weight)
    outcome = evaluate(evaluation_of(inputs, dead), tmp_path / "out")
    assert outcome.summary.metrics()["sensitivity-l2"]["zero_heatmaps"] == 5
    assert any("5 of 5 heatmaps of sensitivity-l2 are zero" in w for w in outcome.warnings)
    assert "dog/0.png" in outcome.warnings[0]


def test_real_images_rank_lrp_above_random(real_data: Path, tmp_path: Path) -> None:
    """A tenth of the documented run: LRP α2β1 finds more than random order on trained weights."""
    from aopc.models.load import load_network

    weights = real_data / "squeezenet" / "squeezenet1_0_ilsvrc2012.pt"
    network, _ = load_network("squeezenet1_0", weights, "caffe")
    job = Evaluation(
        name="imagenet-sample",
        folder=image_folder(real_data / "imagenet-sample" / "images").subset(Subset(10, "sample", 1)),
        network=network,
        explainers=["lrp-alpha2-beta1"],
        protocol=Protocol(9, 40, 1, 2, "uniform", 0),
    )
    summary = evaluate(job, tmp_path / "out").summary
    assert summary.difference("lrp-alpha2-beta1", "random").numbers[1] > 0


def test_a_tolerance_stops_when_it_is_reached_and_says_when_not(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
    monkeypatch.setattr("aopc.experiment.evaluate.StoppingRule", lambda t: StoppingRule(t, every=2, least=2))
    job = evaluation_of(inputs, Counter())
    rough = evaluate(replace(job, tolerance=1e6), tmp_path / "rough")
    assert rough.warnings == []
    metrics = json.loads((tmp_path / "rough" / "metrics.json").read_text())
    assert {m["images"] for m in metrics["pets"].values()} == {2}
    done = read_curves(tmp_path / "rough" / "curves" / "random.parquet")["random"].image_ids
    order = Stream(0, "precision").permutation(5)[:2]
    assert list(done) == [job.folder.ids[i] for i in order]
    assert np.load(tmp_path / "rough" / "heatmaps" / "random.npy").shape[0] == 2
    assert not (tmp_path / "rough.partial").exists()
    fine = evaluate(replace(job, tolerance=1e-9), tmp_path / "fine")
    assert "without a stop" in fine.warnings[0]
    # The same numbers as without the option: the order of work does not matter.
    plain = evaluate(job, tmp_path / "plain")
    found, expected = (json.loads((tmp_path / name / "metrics.json").read_text())["pets"] for name in ("fine", "plain"))
    for explainer, values in expected.items():
        assert found[explainer]["aopc"] == pytest.approx(values["aopc"], rel=1e-5, abs=1e-6)
    assert plain.summary.explainers == fine.summary.explainers
    with pytest.raises(InputError, match="name one beside random"):
        evaluate(replace(job, tolerance=1.0, explainers=["random"]), tmp_path / "nothing")


def test_a_run_with_a_tolerance_is_asked_at_the_same_parts(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed and resumed, it stops at the same image."""
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
    monkeypatch.setattr("aopc.experiment.evaluate.StoppingRule", lambda t: StoppingRule(t, every=2, least=4))
    whole = Counter()
    evaluate(replace(evaluation_of(inputs, whole), tolerance=1e6), tmp_path / "whole")
    killed = Counter(stop_at=int(0.7 * whole.seen))
    with pytest.raises(KeyboardInterrupt):
        evaluate(replace(evaluation_of(inputs, killed), tolerance=1e6), tmp_path / "resumed")
    second = Counter()
    evaluate(replace(evaluation_of(inputs, second), tolerance=1e6), tmp_path / "resumed")
    assert second.seen < 0.8 * whole.seen
    same_files(tmp_path / "whole", tmp_path / "resumed")


class Dropping(nn.Sequential):
    """A small classifier with dropout; 32 × 32 pixels."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(4 * 15 * 15, CLASSES),
        )


def test_conditions_are_what_the_engine_gives_by_itself(inputs: Path, tmp_path: Path) -> None:
    """Files by condition and explainer, and the numbers of perturbation_curves called directly."""
    out, names = tmp_path / "out", ("lerf", "dropout", "spatial", "mean")
    job = evaluation_of(inputs, Dropping())
    outcome = evaluate(replace(job, conditions=[condition_named(n) for n in names]), out)
    explainers = job.explainers
    assert {p.name for p in (out / "conditions").iterdir()} == set(names)
    files = {n: {p.stem for p in (out / "conditions" / n).iterdir()} for n in names}
    # Random order has no LeRF, and no places of its own.
    assert files["lerf"] == files["spatial"] == set(explainers)
    assert files["dropout"] == files["mean"] == {*explainers, "random"}

    subject = job.subject(job.image_ids)
    model, images = job.network.model, subject.pixels(slice(0, 5))
    ids, targets = subject.ids, subject.targets
    grid = Grid(32, 32, 4)
    common = {
        "protocol": job.protocol,
        "value_range": job.network.preprocessing.value_range,
        "image_ids": ids,
    }
    for explainer in explainers:
        maps = aopc.heatmaps(model, images, explainer, targets, image_ids=ids)
        thinned = aopc.heatmaps(model, images, explainer, targets, image_ids=ids, dropout_seed=0)
        placed = at_random_places(maps, grid, ids, number=0, seed=0)
        for name, shown, own in (
            ("lerf", maps, {"order": "lerf"}),
            ("dropout", thinned, {"dropout_seed": 0}),
            ("spatial", placed, {}),
            ("mean", maps, {"removal": "mean"}),
        ):
            expected = perturbation_curves(model, images, shown, targets, **common, **own)
            (found,) = read_curves(out / "conditions" / name / f"{explainer}.parquet").values()
            np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
            assert found.image_ids == expected.image_ids
    for name, own in (("dropout", {"dropout_seed": 0}), ("mean", {"removal": "mean"})):
        rankings = {"": Ranking.at_random(grid, ids, 2, 2, 0)}
        expected = perturbation_curves(model, images, rankings, targets, **common, **own)[""]
        found = read_curves(out / "conditions" / name / "random.parquet")["random"]
        np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-5)

    table = read_csv(out / "conditions.csv")
    rows = list(zip(table["condition"].tolist(), table["explainer"].tolist(), strict=True))
    assert rows == [(n, e) for n in names for e in (*explainers, "random") if e in files[n]]
    for (name, explainer), mean in zip(rows, table["aopc"], strict=True):
        (found,) = read_curves(out / "conditions" / name / f"{explainer}.parquet").values()
        assert mean == pytest.approx(aopc_curves(found)[:, -1].mean(), rel=1e-5)
    assert (table["low"] <= table["aopc"]).all()
    assert (table["aopc"] <= table["high"]).all()
    assert set(table["images"]) == {5}
    assert "AOPC under other conditions" in outcome_table(outcome)


def test_the_main_results_do_not_depend_on_the_conditions(inputs: Path, tmp_path: Path) -> None:
    """The same curves to the byte, and metrics; a condition of the same choices gives the main ones."""
    job = evaluation_of(inputs, Counter())
    evaluate(job, tmp_path / "alone")
    same = Condition("same", {"removal": "uniform"})
    named = [CONDITIONS["lerf"], CONDITIONS["lerf"]]  # one that is given twice counts once
    evaluate(replace(job, conditions=[*named, same]), tmp_path / "both")
    assert {p.name for p in (tmp_path / "both" / "conditions").iterdir()} == {"lerf", "same"}
    for name in ("metrics.json", "figure4.csv", "paired_differences.csv"):
        assert (tmp_path / "alone" / name).read_text() == (tmp_path / "both" / name).read_text()
    for explainer in job.names:
        main, again = (
            next(iter(read_curves(tmp_path / "both" / f / f"{explainer}.parquet").values()))
            for f in ("curves", "conditions/same")
        )
        np.testing.assert_array_equal(main.logits, again.logits)


def test_the_journal_versions_protocol_has_lerf_and_other_removals(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    preset = PRESETS["tnnls2017"]
    assert PRESETS["samek2016"].protocol == Protocol()
    assert preset.protocol == Protocol(orders=("morf", "lerf"))
    arguments = options(inputs, out, protocol="tnnls2017", explainers="sensitivity-l2", first="2")
    assert run(monkeypatch, *arguments) == 0
    found = {p.name for p in (out / "conditions").iterdir()}
    assert found == {c.name for c in preset.conditions} == {"dirichlet", "mean", "blur"}
    table = read_csv(out / "conditions.csv")
    heatmaps = table["explainer"] == "sensitivity-l2"
    both = read_curves(out / "conditions" / "mean" / "sensitivity-l2.parquet")
    row = heatmaps & (table["condition"] == "mean")
    assert table["abpc"][row] == pytest.approx(aopc.abpc(both["lerf"], both["morf"]), rel=1e-5)
    assert np.isnan(table["abpc"][~heatmaps]).all()
    metrics = json.loads((out / "metrics.json").read_text())
    assert "abpc" in next(iter(metrics.values()))["sensitivity-l2"]
    curves = read_curves(out / "conditions" / "blur" / "random.parquet")["random"]
    assert curves.logits.shape == (2, 3, 4)  # three random orders, three steps: the options' own
