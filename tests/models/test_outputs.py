"""What a model's output is taken for."""

import warnings
from collections import OrderedDict, namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.base.errors import ResultWarning, warnings_in_a_line
from aopc.explainers.run import heatmaps_of
from aopc.models.inference import predict
from aopc.models.network import Layout, Network, save_network, stored_network
from aopc.models.outputs import LogProbabilities, checked_scores, doubt, require_classes
from aopc.models.preprocessing import Preprocessing
from conftest import images, small_network

Z, AUX, FEATURES, MAPS = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 9), torch.randn(4, 3, 2, 2)
Named = namedtuple("Named", ["logits", "aux_logits"])
Unnamed = namedtuple("Unnamed", ["scores", "features"])
COUNTS = dict(region_size=4, steps=3, repeats=2)


class ModelOutput(OrderedDict):
    """As of transformers: a mapping whose entries are attributes."""

    @property
    def logits(self) -> Any:
        return self["logits"]


@pytest.mark.parametrize(
    "output",
    [
        Z,
        (Z,),
        [Z],
        (Z, AUX),
        [Z, AUX, AUX],
        (Z, None),
        (torch.tensor(0.3), Z),
        (Z, MAPS),
        (MAPS, Z),
        Named(Z, AUX),
        Named(Z, None),
        {"logits": Z, "hidden_states": (MAPS,)},
        {"features": FEATURES, "logits": Z},
        {"out": Z, "aux": AUX},
        {"scores": Z, "loss": None},
        ModelOutput(loss=torch.tensor(0.1), logits=Z),
        SimpleNamespace(logits=Z, pooled=FEATURES),
    ],
)
def test_the_scores_are_found_where_it_is_clear_which_they_are(output: Any) -> None:
    assert checked_scores(output, 4) is Z


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"a": Z, "b": AUX}, "a mapping with the tensors 'a', 'b'"),
        ({"logits": Z, "out": AUX}, "a mapping"),
        ({}, "a mapping with the tensors none"),
        ((FEATURES, Z), r"a tuple of torch.float32 of shape \(4, 9\), torch.float32 of shape \(4, 3\)"),
        (Unnamed(Z, FEATURES), "Unnamed"),
        ((), "a tuple of nothing"),
        ([MAPS], "a list"),
        (((Z, AUX), FEATURES, Z), "a tuple of tuple"),
        (None, "it returned NoneType"),
        ({"logits": None}, "none"),
        (SimpleNamespace(logits=None), "it returned NoneType"),
        (Z[0], r"it returned torch.float32 of shape \(3,\)"),
        (Z[:3], r"\(3, 3\)"),
        (MAPS, r"\(4, 3, 2, 2\)"),
        (Z.long(), "torch.int64"),
        (Z + 0j, "torch.complex64"),
        ("text", "it returned str"),
    ],
)
def test_everything_else_is_refused_in_one_line(output: Any, said: str) -> None:
    with pytest.raises(aopc.InputError, match=said) as caught:
        checked_scores(output, 4)
    assert "\n" not in str(caught.value)


class Wrapped(nn.Module):
    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.model, self.wrap = small_network(), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.model(x))


@pytest.mark.parametrize("wrap", [lambda z: {"out": z}, lambda z: (z, 2 * z), lambda z: Named(z, None)])
def test_what_wraps_the_scores_changes_nothing(wrap: Any) -> None:
    x, plain, wrapped = images(2, 13, 13), small_network(), Wrapped(wrap).eval()
    np.testing.assert_array_equal(predict(plain, x), predict(wrapped, x))
    np.testing.assert_array_equal(
        *(aopc.heatmaps(m, x, "sensitivity-l2") for m in (plain, wrapped)),
    )
    a, b = (aopc.perturbation_curves(m, x, x.sum(1), incremental=False, **COUNTS) for m in (plain, wrapped))
    np.testing.assert_array_equal(a.logits, b.logits)


def test_auxiliary_classifiers_of_torchvision_are_not_taken() -> None:
    from torchvision.models.googlenet import GoogLeNetOutputs
    from torchvision.models.inception import InceptionOutputs

    assert checked_scores(GoogLeNetOutputs(Z, AUX, AUX), 4) is Z
    assert checked_scores(InceptionOutputs(Z, AUX), 4) is Z


KINDS = {
    "probabilities": lambda z: z.softmax(1),
    "log-probabilities": lambda z: z.log_softmax(1),
    "same sum": lambda z: 100 * z.softmax(1),
    "between 0 and 1": lambda z: z.sigmoid(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_that_are_no_scores_are_doubted(kind: str) -> None:
    scores = KINDS[kind](3 * torch.randn(12, 5, generator=torch.Generator().manual_seed(0)))
    assert kind in str(doubt(scores.numpy()))
    assert kind in str(doubt(scores.bfloat16().float().numpy())) or kind == "same sum"


@pytest.mark.parametrize(
    "scores",
    [
        torch.randn(30, 5),
        torch.randn(30, 5).relu(),
        torch.randn(30, 5).abs() + 1,
        -torch.randn(30, 5).abs(),
        torch.randn(30, 2),
        torch.randn(30, 5) - torch.randn(30, 5).mean(1, keepdim=True),
        torch.zeros(5, 4),
        torch.ones(5, 4) * 3,
        torch.rand(1, 5),
        torch.rand(2, 3),
        torch.full((4, 5), torch.nan),
        torch.rand(0, 5),
    ],
)
def test_scores_are_not_doubted(scores: Tensor) -> None:
    assert doubt(scores.numpy()) is None


def test_probabilities_are_warned_of_and_with_their_name_are_right() -> None:
    plain, x, targets = small_network(), images(3, 13, 13), np.array([0, 1, 2])
    with_softmax = nn.Sequential(*plain, nn.Softmax(1)).eval()
    heatmaps = x.sum(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = aopc.perturbation_curves(plain, x, heatmaps, targets, **COUNTS)
        found = aopc.perturbation_curves(with_softmax, x, heatmaps, targets, output="probabilities", **COUNTS)
        maps = aopc.heatmaps(with_softmax, x, "sensitivity-l2", output="probabilities")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-5)
    np.testing.assert_allclose(found.logits, np.log(expected.probabilities), rtol=1e-4, atol=1e-5)
    # The gradient of the logarithm is that of the log-softmax of the scores.
    log_softmax = nn.Sequential(*plain, nn.LogSoftmax(1)).eval()
    with pytest.warns(ResultWarning, match="log-probabilities"):
        np.testing.assert_allclose(maps, aopc.heatmaps(log_softmax, x, "sensitivity-l2"), rtol=1e-4)
    with pytest.warns(ResultWarning, match="--output probabilities"):
        aopc.perturbation_curves(with_softmax, x, heatmaps, targets, **COUNTS)
    for call in (lambda: predict(Network(plain, GREY, output="probabilities").model, x),
                 lambda: aopc.heatmaps(plain, x, "random", output="probabilities"),
                 lambda: aopc.perturbation_curves(plain, x, heatmaps, targets, output="probabilities", **COUNTS)):  # fmt: skip
        with pytest.raises(aopc.InputError, match="are no probabilities"):
            call()
    with pytest.raises(aopc.InputError, match="unknown output 'softmax'"):
        heatmaps_of(plain, x, "random", output="softmax")  # type: ignore[arg-type]


def test_a_probability_of_zero_is_no_score_but_other_classes_may_have_it() -> None:
    class Certain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2) + 0 * x.mean((1, 2, 3))[:, None]

    x = images(2, 4, 4)
    settings = dict(output="probabilities", region_size=2, steps=2, repeats=1)
    assert (aopc.perturbation_curves(Certain(), x, x.sum(1), **settings).logits == 0).all()
    assert np.isfinite(aopc.heatmaps(Certain(), x, "sensitivity-l2", output="probabilities")).all()
    with pytest.raises(aopc.InputError, match="NaN or infinite for image 0 at step 0"):
        aopc.perturbation_curves(Certain(), x, x.sum(1), [1, 1], **settings)


def test_one_output_is_no_class() -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4, 1)), images(2, 2, 2)
    with pytest.raises(aopc.InputError, match="the model has one output"):
        require_classes(model(x))
    # Its score is defined, and so is what depends on that alone.
    with pytest.warns(ResultWarning, match="the model has one output"):
        curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=1, steps=1)
    np.testing.assert_allclose(curves.logits[:, 0, 0], model(x)[:, 0].detach(), rtol=1e-6)
    expected = np.abs(model[1].weight.detach().numpy().reshape(3, 2, 2)).max(0)
    np.testing.assert_allclose(aopc.heatmaps(model, x, "sensitivity-linf")[1], expected)


GREY = Preprocessing("L", (0.5,), (0.3,), 1.0)


def test_a_network_keeps_what_its_outputs_are(tmp_path: Path) -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Softmax(1)), GREY, output="probabilities")
    assert isinstance(network.on("cpu").model, LogProbabilities)
    assert not isinstance(network.on("cpu").model.model, LogProbabilities)
    layout = Layout("test_outputs:softmax_network", 2)
    save_network(tmp_path / "n.pt", network, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        stored = stored_network(tmp_path / "n.pt", "test_outputs:softmax_network")
    x = torch.rand(3, 1, 2, 2)
    torch.testing.assert_close(stored.model(x), network.model(x), rtol=0, atol=0)
    assert stored.output == "probabilities"


def softmax_network(*, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, classes), nn.Softmax(1))


def test_commands_say_a_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_in_a_line():
        for _ in range(3):
            predict(nn.Sequential(small_network(), nn.Softmax(1)), images(3, 13, 13))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("aopc: warning: the model's outputs are probabilities")
