"""LRP against the equations, what it conserves, and which networks it takes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
import reference
from aopc.explainers import lrp
from aopc.explainers.backward.rules import RuleSet
from aopc.explainers.backward.signals import Signals
from aopc.measures.complexity import zero_heatmaps
from conftest import convolutional_network, images, small_network

SEEDS = st.integers(0, 10_000)


def signal(rules: RuleSet, model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return Signals(model, {"": rules})(x, targets)[""].values


def lrp_epsilon(model: nn.Module, x: torch.Tensor, targets: torch.Tensor, **settings: Any) -> torch.Tensor:
    return signal(lrp.epsilon(**settings), model, x, targets).sum(1)


def lrp_alpha_beta(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return signal(lrp.alpha_beta(), model, x, targets).sum(1)


@settings(max_examples=12, deadline=None)
@given(
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2, 3]),
    bias=st.booleans(),
    seed=SEEDS,
)
def test_lrp_equals_the_equations(stride: int, padding: int, groups: int, bias: bool, seed: int) -> None:
    model = convolutional_network(stride, padding, groups, bias, seed)
    x = images(1, 9, 9, seed).double()
    target = int(model(x).argmax())
    targets = torch.tensor([target])
    for epsilon in (0.01, 100.0):
        expected = reference.lrp(model, x[0].numpy(), target, "epsilon", epsilon=epsilon)
        ours = lrp_epsilon(model, x, targets, epsilon=epsilon)[0].numpy()
        np.testing.assert_allclose(ours, expected.sum(0), atol=1e-9, rtol=1e-7)
    expected = reference.lrp(model, x[0].numpy(), target, "alpha_beta", alpha=2.0, beta=1.0)
    ours = lrp_alpha_beta(model, x, targets)[0].numpy()
    np.testing.assert_allclose(ours, expected.sum(0), atol=1e-9, rtol=1e-7)


def test_reference_forward_is_the_models() -> None:
    """The reference is worth something only if it computes the same network."""
    model, x = small_network().double(), images(1, 13, 13).double()
    np.testing.assert_allclose(reference.forward(model, x[0].numpy())[-1].y, model(x)[0].detach().numpy(), atol=1e-12)


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_lrp_epsilon_towards_zero_is_gradient_times_input(seed: int) -> None:
    model, x = (
        small_network(bias=False, lrn=False, seed=seed).double(),
        images(2, 13, 13, seed).double(),
    )
    targets = torch.tensor([0, 2])
    z = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(z).gather(1, targets[:, None]).sum(), z)
    expected = (gradient * x).sum(1)
    ours = lrp_epsilon(model, x, targets, epsilon=1e-12)
    torch.testing.assert_close(ours, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("lrn", [False, True])
@pytest.mark.parametrize("name", ["lrp-epsilon-0.01", "lrp-alpha2-beta1"])
def test_lrp_conserves_relevance_without_biases(name: str, lrn: bool) -> None:
    """Claim C10, to 2 % of the largest score.

    ε takes a share ε / (|z| + ε) at each neuron. αβ conserves at neurons with contributions of both
    signs, which all neurons of a net this wide have.
    """
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, stride=2, bias=False), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.LocalResponseNorm(5, alpha=0.1)] if lrn else []
    layers += [nn.Conv2d(32, 48, 3, groups=2, bias=False), nn.ReLU(), nn.Flatten()]
    layers += [nn.Linear(48, 128, bias=False), nn.ReLU(), nn.Linear(128, 3, bias=False)]
    model, x = nn.Sequential(*layers).eval(), 5 * images(6, 13, 13)
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        scores = model(x).amax(1).numpy()
    sums = aopc.heatmaps(model, x, name).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, scores, rtol=0, atol=0.02 * scores.max())


def test_taylor_normalisation_conserves_where_identity_does_not_change() -> None:
    """With α = 0 the layer divides by a constant, and both treatments agree."""
    model, x = small_network(bias=False), images(2, 13, 13)
    for layer in model:
        if isinstance(layer, nn.LocalResponseNorm):
            layer.alpha = 0.0
    targets = torch.tensor([0, 1])
    taylor = lrp_epsilon(model, x, targets, epsilon=1e-6)
    identity = lrp_epsilon(model, x, targets, epsilon=1e-6, normalisation="identity")
    torch.testing.assert_close(taylor, identity, rtol=1e-3, atol=1e-4)


def test_average_pooling_and_batch_norm_conserve() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 3, bias=False)).eval()
    nn.init.uniform_(model[1].running_var, 0.2, 4)
    nn.init.uniform_(model[1].weight, 0.5, 2)
    x = 20 * images(4, 13, 13)
    with torch.no_grad():
        scores = model(x).amax(1).numpy()
    for name in ("lrp-epsilon-0.01", "lrp-alpha2-beta1"):
        sums = aopc.heatmaps(model, x, name).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, scores, rtol=0.05)


def test_torchvision_resnet_conserves() -> None:
    """Through residual additions, which are no modules there."""
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(1)
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4).eval()
    x = images(1, 48, 48)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        score = float(model(x).max())
    sums = aopc.heatmaps(model, x, lambda m, i, t: lrp_epsilon(m, i, t, epsilon=1e-6)).sum()
    bias_share = float(model.fc.bias.detach().abs().max())
    assert abs(sums - score) < bias_share + 0.1 * abs(score)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


class Residual(nn.Module):
    """A block that no library knows, in the order that its own forward gives it."""

    def __init__(self, *, checks: bool, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.checks = checks
        self.a, self.b = (nn.Conv2d(c, 8, 3, padding=1, bias=bias) for c in (3, 8))
        self.first, self.second, self.head = nn.ReLU(), nn.ReLU(), nn.Linear(2048, 5, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.checks and x.shape[1] != 3:
            raise ValueError("three channels")
        x = self.first(self.a(x))
        return self.head(self.second(x + self.b(x)).flatten(1))


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_additions_in_a_forward_pass_conserve(checks: bool, bias: bool) -> None:
    model, x = Residual(checks=checks, bias=bias).eval(), images(2, 16, 16)
    with torch.no_grad():
        scores = model(x).amax(1).numpy()
    share = aopc.heatmaps(model, x, "lrp-alpha2-beta1").sum(axis=(1, 2)) / scores
    np.testing.assert_allclose(share, 0.95 if bias else 1.0, atol=0.05 if bias else 1e-4)


def test_weights_of_a_weight_norm_and_alpha_beta() -> None:
    """By hand: z = (1, −1), b = −1; 2 · 1/1 · f = −2 and −1 · (−1)/(−2) · f = 0.5 for f = −1."""
    linear = nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, -1.0]]))
        linear.bias.fill_(-1.0)
    model = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(linear))
    found = aopc.heatmaps(model, torch.ones(1, 1, 1, 2), "lrp-alpha2-beta1", [0])
    np.testing.assert_allclose(found, [[[-2.0, 0.5]]], rtol=1e-6)


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "squeezenet1_1"])
def test_lrp_takes_the_networks_of_its_time(name: str) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    model, x = get_model(name, num_classes=3), images(1, 64, 64)
    assert np.abs(aopc.heatmaps(model, x, "lrp-epsilon-0.01", [1])).max() > 0


def test_a_dead_network_has_zero_heatmaps() -> None:
    model = small_network()
    nn.init.zeros_(model[-1].weight)
    assert zero_heatmaps(aopc.heatmaps(model, images(2, 13, 13), "lrp-epsilon-0.01")).all()


def test_relevance_that_float32_would_lose_is_computed_in_float64() -> None:
    """ε = 10²⁵ at two neurons of one input: 1 / 10²⁵ each, 10⁻⁵⁰ together."""
    one = nn.Linear(1, 1, bias=False)
    nn.init.ones_(one.weight)
    model, x = nn.Sequential(nn.Flatten(), one, one).eval(), torch.ones(1, 1, 1, 1)
    found = Signals(model, {"": lrp.epsilon(epsilon=1e25)})(x, torch.tensor([0]))[""]
    assert found.wide is not None
    assert found.narrow is not None
    assert found.narrow.tolist() == [True]
    np.testing.assert_allclose(found.wide.flatten(), [1e-50], rtol=1e-6)


def test_activations_that_float32_would_lose_divide_in_float64() -> None:
    """10⁻²⁰ · 10⁻²⁰ is no normal number of float32; 10³⁸ times it is the score, all of which is the pixel's."""
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(first.weight, 1e-20)
    nn.init.constant_(second.weight, 1e38)
    model, x = nn.Sequential(nn.Flatten(), first, second).eval(), torch.full((1, 1, 1, 1), 1e-20)
    for rules in (lrp.alpha_beta(alpha=1.0, beta=0.0), lrp.epsilon(epsilon=1e-60)):
        found = Signals(model, {"": rules})(x, torch.tensor([0]))[""]
        assert found.wide is not None
        np.testing.assert_allclose(found.wide.flatten(), [1e-2], rtol=1e-3)
