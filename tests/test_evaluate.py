"""The command ``aopc evaluate``, from the command line to the files."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import squeezenet1_1

import aopc
from aopc import cli
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from aopc.experiment.evaluate import Evaluation, evaluate
from aopc.measures.statistics.stopping import StoppingRule
from aopc.models.preprocessing import Preprocessing
from aopc.perturbation.protocol import Protocol, read_curves
from aopc.base.random import Stream
from aopc.base.files import read_table

CLASSES = 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images in two class folders, a class list, a network's weights."""
    root = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    for i in range(5):
        path = root / "pets" / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 60, 3), dtype=np.uint8)).save(path)
    (root / "classes.txt").write_text("cat\ndog\nfox\nowl\n")
    torch.manual_seed(0)
    torch.save(squeezenet1_1(num_classes=CLASSES).state_dict(), root / "weights.pt")
    return root


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["aopc", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    return int(done.value.code or 0)


def options(inputs: Path, out: Path, **changes: str | Path) -> list[str | Path]:
    chosen: dict[str, str | Path] = {
        "images": inputs / "pets",
        "classes": inputs / "classes.txt",
        "model": "squeezenet1_1",
        "weights": inputs / "weights.pt",
        "explainers": "sensitivity-l2,lrp-epsilon-100",
        "steps": "3",
        "repeats": "1",
        "first": "3",
        "out": out,
    } | changes
    return [part for key, value in chosen.items() for part in (f"--{key.replace('_', '-')}", value)]


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
    printed = capsys.readouterr().out
    assert "top-1 accuracy" in printed
    assert "lrp-epsilon-100" in printed
    assert not (tmp_path / "results.partial").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"explainers": "lrp-epsilon-10"}, "did you mean 'lrp-epsilon-100'"),
        ({"model": "squeezenet1_9"}, "did you mean 'squeezenet1_"),
        ({"model": "squeezenet1_0"}, "do not fit the architecture squeezenet1_0"),
        ({"weights": "none.pt"}, "no weights file"),
        ({"images": "none"}, "no folder"),
        ({"region_size": "225"}, "larger than the image"),
        ({"steps": "626"}, "between 1 and the number of regions, 625"),
        ({"limit": "2"}, "not both"),
        ({"first": "0"}, "at least 1"),
        ({"removal": "blurr"}, "did you mean 'blur'"),
        ({"preprocessing": "cafe"}, "did you mean 'caffe'"),
        ({"device": "abacus"}, "cannot use the device"),
        ({"random_orders": "0"}, "at least 1"),
    ],
)
def test_bad_options_end_in_one_line(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *options(inputs, tmp_path / "out", **changes)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("aopc: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def _broken_image(root: Path) -> None:
    (root / "pets" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")


def _short_class_list(root: Path) -> None:
    (root / "classes.txt").write_text("cat\ndog\n")


def _nan_weights(root: Path) -> None:
    state = torch.load(root / "weights.pt", weights_only=True)
    state["classifier.1.bias"][:] = torch.nan
    torch.save(state, root / "weights.pt")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_broken_image, "cannot read the image"),
        (_short_class_list, "class list has 2 classes, but the model has 4 outputs"),
        (_nan_weights, "model's output is NaN"),
    ],
)
def test_bad_files_end_in_one_line(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    root = tmp_path / "inputs"
    shutil.copytree(inputs, root)
    spoil(root)
    assert run(monkeypatch, *options(root, tmp_path / "out")) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("aopc: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inputs"]


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
    (tmp_path / "never.py").write_text(
        "def nan(model, images, targets):\n    return images.sum(1) * float('nan')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "out"
    assert run(monkeypatch, *options(inputs, out, explainers="never:nan,sensitivity-l2")) == 0
    metrics = json.loads((out / "metrics.json").read_text())["pets"]
    assert metrics["never:nan"]["aopc"] is None
    assert metrics["never:nan"]["nonfinite_heatmaps"] == 3
    assert metrics["sensitivity-l2"]["images"] == 3


class Counter(nn.Module):
    """A small classifier that is killed at a given forward pass."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))
        self.seen, self.stop_at = 0, stop_at

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        if self.stop_at is not None and self.seen > self.stop_at:
            raise KeyboardInterrupt
        return self.head(self.body(x))


def _job(inputs: Path, model: nn.Module) -> Evaluation:
    return Evaluation(
        name="pets",
        folder=image_folder(inputs / "pets"),
        model=model.eval(),
        preprocessing=Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 1.0, (32, 32)),
        class_ids=None,
        explainers=["sensitivity-l2", "lrp-alpha2-beta1"],
        protocol=Protocol(4, 10, 2, 2, "uniform", 0),
        origin={"model": "counter"},
    )


def test_a_killed_run_goes_on_with_the_same_result(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
    whole = Counter()
    evaluate(_job(inputs, whole), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        evaluate(_job(inputs, Counter(stop_at=whole.seen // 2)), tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    assert (tmp_path / "resumed.partial").exists()
    second = Counter()
    evaluate(_job(inputs, second), tmp_path / "resumed")
    assert second.seen < 0.8 * whole.seen
    assert not (tmp_path / "resumed.partial").exists()
    for path in (tmp_path / "whole").rglob("*.*"):
        other = tmp_path / "resumed" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_other_settings_do_not_reuse_the_parts_of_a_killed_run(
    inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate(_job(inputs, Counter(stop_at=250)), out)
    fresh = Counter()
    job = _job(inputs, fresh)
    evaluate(Evaluation(**{**job.__dict__, "origin": {"model": "another"}}), out)
    whole = Counter()
    evaluate(_job(inputs, whole), tmp_path / "whole")
    assert fresh.seen == whole.seen


def test_zero_heatmaps_are_reported_by_image(inputs: Path, tmp_path: Path) -> None:
    dead = Counter()
    nn.init.zeros_(dead.head[1].weight)
    outcome = evaluate(_job(inputs, dead), tmp_path / "out")
    assert outcome.panel.metrics()["sensitivity-l2"]["zero_heatmaps"] == 5
    assert any("5 of 5 heatmaps of sensitivity-l2 are zero" in w for w in outcome.warnings)
    assert "dog/0.png" in outcome.warnings[0]


def test_users_explainer_by_dotted_path(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "def edges(model, images, targets):\n    return images.std(1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "out"
    arguments = options(inputs, out, explainers="mine:edges")
    assert run(monkeypatch, *arguments, "--lerf") == 0
    metrics = json.loads((out / "metrics.json").read_text())["pets"]
    assert set(metrics) == {"mine:edges", "random"}
    assert "abpc" in metrics["mine:edges"]


def test_real_images_rank_lrp_above_random(real_data: Path, tmp_path: Path) -> None:
    """A tenth of the documented run: LRP α2β1 finds more than random order on trained weights."""
    from aopc.models.preprocessing import PREPROCESSINGS
    from aopc.models.zoo.torchvision_models import load_torchvision_model

    weights = real_data / "squeezenet" / "squeezenet1_0_ilsvrc2012.pt"
    job = Evaluation(
        name="imagenet-sample",
        folder=image_folder(real_data / "imagenet-sample" / "images").subset(
            Subset(10, "sample", 1)
        ),
        model=load_torchvision_model("squeezenet1_0", weights, caffe=True),
        preprocessing=PREPROCESSINGS["caffe"],
        class_ids=None,
        explainers=["lrp-alpha2-beta1"],
        protocol=Protocol(9, 40, 1, 2, "uniform", 0),
        origin={},
    )
    panel = evaluate(job, tmp_path / "out").panel
    assert panel.difference("lrp-alpha2-beta1", "random").numbers[1] > 0


def test_a_caffemodel_is_evaluated(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aopc.models import ARCHITECTURES
    from caffe_files import write_network

    torch.manual_seed(0)
    model = ARCHITECTURES["alexnet"](classes=3)
    weights = write_network(tmp_path / "net.caffemodel", model)
    arguments = {
        "--images": str(inputs / "pets"),
        "--model": "alexnet",
        "--weights": str(weights),
        "--explainers": "lrp-alpha2-beta1",
        "--first": "1",
        "--steps": "2",
        "--repeats": "1",
        "--out": str(tmp_path / "out"),
    }
    flat = [part for pair in arguments.items() for part in pair]
    assert run(monkeypatch, *flat) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert run(monkeypatch, *flat, "--preprocessing", "imagenet") == 2
    flat[3] = "caffenet"
    assert run(monkeypatch, *flat) == 2


def test_estimate_says_time_and_memory_and_writes_nothing(
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(o) for o in options(inputs, tmp_path / "out")][:-2]
    monkeypatch.setattr(sys, "argv", ["aopc", "estimate", *given])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("3 images, ")
    assert "in all: " in printed
    assert "memory: " in printed
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["aopc", "estimate", *given, "--arithmetic", "float23"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 2
    assert "did you mean 'float32'" in capsys.readouterr().err


def test_precision_stops_when_it_is_reached_and_says_when_not(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
    monkeypatch.setattr(
        "aopc.experiment.evaluate.StoppingRule", lambda p, every: StoppingRule(p, every=every, least=2)
    )
    job = _job(inputs, Counter())
    rough = evaluate(replace(job, precision=1e6), tmp_path / "rough")
    assert rough.warnings == []
    metrics = json.loads((tmp_path / "rough" / "metrics.json").read_text())
    assert {m["images"] for m in metrics["pets"].values()} == {2}
    done = read_curves(tmp_path / "rough" / "curves" / "random.parquet")["random"].image_ids
    order = Stream(0, "precision").permutation(5)[:2]
    assert list(done) == [job.folder.ids[i] for i in order]
    assert np.load(tmp_path / "rough" / "heatmaps" / "random.npy").shape[0] == 2
    assert not (tmp_path / "rough.partial").exists()
    fine = evaluate(replace(job, precision=1e-9), tmp_path / "fine")
    assert "without a stop" in fine.warnings[0]
    # The same numbers as without the option: the order of work does not matter.
    plain = evaluate(job, tmp_path / "plain")
    found, expected = (
        json.loads((tmp_path / name / "metrics.json").read_text())["pets"]
        for name in ("fine", "plain")
    )
    for explainer, values in expected.items():
        assert found[explainer]["aopc"] == pytest.approx(values["aopc"], rel=1e-5, abs=1e-6)
    assert plain.panel.explainers == fine.panel.explainers
