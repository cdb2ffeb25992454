"""Heatmaps of the paper's own networks, dropout off and active, and training with checkpoints."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.data.sources.digits import digits
from aopc.base.errors import InputError
from aopc.measures.statistics.correlation import rank_correlation
from aopc.models import ARCHITECTURES
from aopc.models.dropout import active_dropout
from aopc.models.inference import predict
from aopc.models.network_file import load_network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.training import TrainingSettings, train
from aopc.paper.stages.networks import work
from aopc.paper.tracking.pending import StageRun


def seeded(name: str, *, bias: bool) -> nn.Module:
    """Weights of the size that keeps signals alive through the layers."""
    torch.manual_seed(0)
    model = ARCHITECTURES[name](classes=10).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            (nn.init.normal_ if bias else nn.init.zeros_)(module.bias)
    return model


def images(side: int, count: int = 1) -> torch.Tensor:
    return 60 * torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "side"), [("caffenet", 227), ("alexnet", 227), ("googlenet", 224)]
)
@pytest.mark.parametrize("explainer", ["lrp-epsilon-0.01", "lrp-alpha2-beta1"])
def test_lrp_conserves_relevance_on_the_papers_networks(
    name: str, side: int, explainer: str
) -> None:
    """Claim C10 through grouped convolutions, LRN, concatenation, dropout that is off, and the fully
    connected layers: Σ h = f to 2 %, without biases, which would take a share.
    """
    model, x = seeded(name, bias=False), images(side)
    score = predict(model, x).max()
    total = aopc.heatmaps(model, x, explainer).sum()
    assert total == pytest.approx(score, rel=0.02)


@pytest.mark.parametrize("explainer", ["sensitivity-l2", "deconvolution-linf"])
def test_other_heatmaps_of_the_papers_networks_are_not_empty(explainer: str) -> None:
    model = seeded("caffenet", bias=True)
    heatmap = aopc.heatmaps(model, images(227), explainer)[0]
    assert np.isfinite(heatmap).all()
    assert (heatmap > 0).mean() > 0.5


# --- dropout ---------------------------------------------------------------------------------


def dropping(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.ReLU(),
        nn.Dropout2d(0.4),
        nn.Conv2d(6, 8, 3, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8 * 4 * 4, 16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 3),
    ).eval()


def with_masks_in_weights(model: nn.Sequential, x: torch.Tensor, name: str) -> nn.Sequential:
    """The network without dropout layers whose weights hold the masks of one image.

    Its contributions z_ij = (a_i m_i) w_ij = a_i (m_i w_ij) are those of the thinned network, so every
    explainer must give the same for both.
    """
    shapes: dict[nn.Module, torch.Size] = {}

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        shapes[module] = output.shape

    droppers = [m for m in model if "Dropout" in type(m).__name__]
    handles = [m.register_forward_hook(note) for m in droppers]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    with active_dropout(model, [name], 7):
        masks = {m: m(torch.ones(shapes[m]))[0] for m in droppers}
    layers, waiting = [], None
    for layer in model:
        if layer in masks:
            waiting = masks[layer]
            continue
        if waiting is not None and isinstance(layer, nn.Conv2d | nn.Linear):
            layer, mask = copy.deepcopy(layer), waiting
            if isinstance(layer, nn.Conv2d):
                channel = mask[:, 0, 0]
                grouped = channel.reshape(layer.groups, -1).repeat_interleave(
                    layer.out_channels // layer.groups, dim=0
                )
                layer.weight.data *= grouped[:, :, None, None]
            else:
                layer.weight.data *= mask
            waiting = None
        layers.append(layer)
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize(
    "explainer", ["sensitivity-l2", "deconvolution-l2", "lrp-epsilon-0.01", "lrp-alpha2-beta1"]
)
def test_active_dropout_explains_the_thinned_network(explainer: str) -> None:
    model = dropping()
    x = torch.randn(1, 3, 13, 13, generator=torch.Generator().manual_seed(3))
    thinned = with_masks_in_weights(model, x, "a")
    targets = torch.tensor([1])
    ours = aopc.heatmaps(model, x, explainer, targets, image_ids=["a"], dropout_seed=7)
    expected = aopc.heatmaps(thinned, x, explainer, targets)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(ours, aopc.heatmaps(model, x, explainer, targets))


def test_dropout_depends_on_the_image_and_not_on_the_batch() -> None:
    model = dropping()
    x = torch.randn(1, 3, 13, 13).repeat(5, 1, 1, 1)
    ids = list("abcde")

    def maps(batch_size: int, names: list[str] = ids, seed: int = 0) -> np.ndarray:
        return aopc.heatmaps(
            model, x, "lrp-epsilon-0.01", [0] * 5, image_ids=names, batch_size=batch_size,
            dropout_seed=seed,
        )  # fmt: skip

    first = maps(5)
    np.testing.assert_allclose(maps(2), first, atol=1e-6)
    np.testing.assert_allclose(maps(1, ids[::-1])[::-1], first, atol=1e-6)
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(maps(5, seed=1), first)
    assert not any(m._forward_hooks for m in model)  # nothing stays behind


def test_dropout_drops_as_often_as_in_training() -> None:
    layer = nn.Sequential(nn.Dropout(0.3)).eval()
    ones = torch.ones(40, 1000)
    with active_dropout(layer, [str(i) for i in range(40)], 0):
        out = layer(ones)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=0.012)  # five deviations
    with active_dropout(layer, ["7"], 0):
        assert torch.equal(layer(ones[:3]), out[7:8].expand(3, -1))


def test_dropout_needs_layers_and_names() -> None:
    with pytest.raises(InputError, match="has no dropout layers"), active_dropout(nn.ReLU(), [], 0):
        pass
    model = dropping()
    with (
        pytest.raises(InputError, match="given 2 images, but a batch has 3"),
        active_dropout(model, ["a", "b"], 0),
    ):
        model(torch.zeros(3, 3, 13, 13))


# --- training with checkpoints -----------------------------------------------------------------


@pytest.mark.parametrize("solver", ["one-cycle", "constant"])
def test_checkpoints_are_the_network_on_its_way(solver: str) -> None:
    data = digits(split="train", seed=0)
    prepare = Preprocessing("L", (0.5,), (0.3,), 1.0)
    x, labels = prepare.normalise(data.pixels[:320]), torch.from_numpy(data.labels[:320])
    kept: dict[int, nn.Sequential] = {}

    def run(epochs: int, *checkpoints: int) -> nn.Sequential:
        how = TrainingSettings(epochs, 32, 0.01, 0.0, False, 0, solver, checkpoints)  # type: ignore[arg-type]
        model = ARCHITECTURES["digit-lenet"](classes=10)
        return train(model, x, labels, how, keep=kept.__setitem__)[0]

    final = run(4, 1, 10, 20, 40)
    assert list(kept) == [1, 10, 20, 40]
    right = [float((predict(m, x).argmax(1) == labels.numpy()).mean()) for m in kept.values()]
    assert right[0] < right[-1]
    np.testing.assert_allclose(predict(kept[40], x), predict(final, x), atol=1e-5)
    assert list(kept[1].state_dict()) == list(ARCHITECTURES["digit-lenet"](classes=10).state_dict())
    if solver == "constant":  # a constant rate knows nothing of the end
        at_10 = kept[10]
        run(1, 10)
        np.testing.assert_allclose(predict(kept[10], x), predict(at_10, x), atol=1e-5)
    with pytest.raises(InputError, match=r"no iteration 41 .* end with iteration 40"):
        run(4, 41)


def test_unknown_solvers_are_said() -> None:
    with pytest.raises(InputError, match="did you mean 'constant'"):
        TrainingSettings(1, 2, 1.0, 0.0, False, 0, "constan")  # type: ignore[arg-type]


# --- rank correlation ----------------------------------------------------------------------------


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 9)), rng.normal(size=(30, 9)).round(1)
    found = rank_correlation(a, b)
    assert found.rho == pytest.approx(spearmanr(a.mean(0), b.mean(0)).statistic)
    assert found.low <= found.rho <= found.high
    assert found.points == 9


def test_the_interval_of_a_rank_correlation_covers() -> None:
    """Noisy means of two rising curves with a swapped pair: ρ of the true means lies within."""
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 1.0, 2.5, 2.0, 4.0])
    other = np.arange(5.0)
    expected = rank_correlation(np.array([truth, truth]), np.array([other, other])).rho
    covered = 0
    for seed in range(60):
        a = truth + rng.normal(scale=2.0, size=(100, 5))
        b = other + rng.normal(scale=2.0, size=(100, 5))
        found = rank_correlation(a, b, seed=seed, resamples=300)
        covered += found.low <= expected <= found.high
    assert covered >= 51  # at 95 %, fewer than 51 of 60 has probability 0.0003


def test_rank_correlation_needs_three_points() -> None:
    with pytest.raises(InputError, match="3 points or more"):
        rank_correlation([[1.0, 2.0]], [[1.0, 2.0]])


def test_a_torchvision_network_from_a_file_goes_through_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision computes it, with Caffe's layout and preprocessing where they are asked for."""
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.squeezenet1_0(num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    options = {"file": "weights.pt", "architecture": "squeezenet1_0", "preprocessing": "caffe"}
    params = {"seed": 0, "networks": {"photos": {"net": options}}}
    work(StageRun("networks@photos"), params, "photos")
    ours, preprocessing = load_network(tmp_path / "data" / "networks" / "photos" / "net.pt")
    assert preprocessing == PREPROCESSINGS["caffe"]
    theirs.classifier[1].padding = (1, 1)
    x = torch.randn(2, 3, 227, 227)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    options["architecture"] = "squeezenet9"
    with pytest.raises(aopc.InputError, match="did you mean 'squeezenet1_"):
        work(StageRun("networks@photos"), params, "photos")
    options |= {"architecture": "squeezenet1_0", "file": "missing.pt"}
    with pytest.raises(aopc.InputError, match="no weights file"):
        work(StageRun("networks@photos"), params, "photos")
