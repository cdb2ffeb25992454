"""Explainers against references that share no code with them."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
import reference
from aopc.explainers import EXPLAINERS, Backward
from aopc.measures.complexity import zero_heatmaps
from conftest import small_network

SEEDS = st.integers(0, 10_000)


def lrp_epsilon(
    model: nn.Module, x: torch.Tensor, targets: torch.Tensor, **settings: object
) -> torch.Tensor:
    return Backward("lrp:epsilon", **settings)(model, x, targets)


def lrp_alpha_beta(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return Backward("lrp:alpha_beta")(model, x, targets)


def images(count: int = 2, seed: int = 0, size: int = 13) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def convolutional(stride: int, padding: int, groups: int, bias: bool, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    first = nn.Conv2d(3, 6, 3, stride=stride, padding=padding, bias=bias)
    middle = [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), nn.LocalResponseNorm(4, alpha=0.8, k=1.0)]
    second = [nn.Conv2d(6, 6, 2, padding=1, groups=groups, bias=bias), nn.ReLU(), nn.Flatten()]
    width = nn.Sequential(first, *middle, *second)(torch.zeros(1, 3, 9, 9)).shape[1]
    return nn.Sequential(first, *middle, *second, nn.Linear(width, 3, bias=bias)).double().eval()


@settings(max_examples=12, deadline=None)
@given(
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2, 3]),
    bias=st.booleans(),
    seed=SEEDS,
)
def test_lrp_and_deconvolution_equal_the_equations(
    stride: int, padding: int, groups: int, bias: bool, seed: int
) -> None:
    model = convolutional(stride, padding, groups, bias, seed)
    x = images(1, seed, size=9).double()
    target = int(model(x).argmax())
    targets = torch.tensor([target])
    signal = reference.deconvolution(model, x[0].numpy(), target)
    for norm, name in ((2, "deconvolution-l2"), (np.inf, "deconvolution-linf")):
        ours = EXPLAINERS[name](model, x, targets)[0].numpy()
        np.testing.assert_allclose(ours, np.linalg.norm(signal, norm, axis=0), atol=1e-10)
    for epsilon in (0.01, 100.0):
        expected = reference.lrp(model, x[0].numpy(), target, "epsilon", epsilon=epsilon)
        ours = lrp_epsilon(model, x, targets, epsilon=epsilon)[0].numpy()
        np.testing.assert_allclose(ours, expected.sum(0), atol=1e-9, rtol=1e-7)
    expected = reference.lrp(model, x[0].numpy(), target, "alpha_beta", alpha=2.0, beta=1.0)
    ours = lrp_alpha_beta(model, x, targets)[0].numpy()
    np.testing.assert_allclose(ours, expected.sum(0), atol=1e-9, rtol=1e-7)


def test_reference_forward_is_the_models() -> None:
    """The reference is worth something only if it computes the same network."""
    model, x = small_network().double(), images(1).double()
    np.testing.assert_allclose(
        reference.forward(model, x[0].numpy())[-1].y, model(x)[0].detach().numpy(), atol=1e-12
    )


@pytest.mark.parametrize(("name", "norm"), [("sensitivity-l2", 2), ("sensitivity-linf", np.inf)])
def test_sensitivity_is_the_norm_of_the_float64_gradient(
    network: nn.Sequential, name: str, norm: float
) -> None:
    x, target = images(), torch.tensor([1, 2])
    double = copy.deepcopy(network).double()
    jacobian = torch.autograd.functional.jacobian(lambda z: double(z), x.double())
    gradients = np.stack([jacobian[i, target[i], i].numpy() for i in range(2)])
    expected = np.linalg.norm(gradients, norm, axis=1)
    np.testing.assert_allclose(aopc.heatmaps(network, x, name, target), expected, atol=1e-5)


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_lrp_epsilon_towards_zero_is_gradient_times_input(seed: int) -> None:
    model, x = small_network(bias=False, lrn=False, seed=seed).double(), images(2, seed).double()
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
    model, x = nn.Sequential(*layers).eval(), 5 * images(6)
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        scores = model(x).amax(1).numpy()
    sums = aopc.heatmaps(model, x, name).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, scores, rtol=0, atol=0.02 * scores.max())


def test_taylor_normalisation_conserves_where_identity_does_not_change() -> None:
    """With α = 0 the layer divides by a constant, and both treatments agree."""
    model, x = small_network(bias=False), images(2)
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
    x = 20 * images(4)
    with torch.no_grad():
        scores = model(x).amax(1).numpy()
    for name in ("lrp-epsilon-0.01", "lrp-alpha2-beta1"):
        sums = aopc.heatmaps(model, x, name).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, scores, rtol=0.05)


def test_torchvision_resnet_conserves() -> None:
    """Residual additions: the rules for them are zennit's."""
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(1)
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4).eval()
    x = images(1, size=48)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        score = float(model(x).max())
    sums = aopc.heatmaps(model, x, lambda m, i, t: lrp_epsilon(m, i, t, epsilon=1e-6)).sum()
    bias_share = float(model.fc.bias.detach().abs().max())
    assert abs(sums - score) < bias_share + 0.1 * abs(score)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_explainers_keep_the_contract(name: str) -> None:
    model, x = small_network().train(), images(5)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    whole = aopc.heatmaps(model, x, name)
    parts = aopc.heatmaps(model, x, name, batch_size=2)
    assert whole.shape == (5, 13, 13)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, parts, atol=1e-5 * np.abs(whole).max())
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_in_place_relu_changes_nothing() -> None:
    model, x = small_network(), images(2)
    expected = {name: aopc.heatmaps(model, x, name) for name in EXPLAINERS}
    for layer in model:
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    for name, maps in expected.items():
        np.testing.assert_allclose(aopc.heatmaps(model, x, name), maps, atol=1e-6)


def test_targets_default_to_the_predicted_classes(network: nn.Sequential) -> None:
    x = images(3)
    predicted = network(x).argmax(1)
    np.testing.assert_array_equal(
        aopc.heatmaps(network, x, "sensitivity-l2"),
        aopc.heatmaps(network, x, "sensitivity-l2", predicted),
    )


def test_unknown_explainer_suggests_the_nearest(network: nn.Sequential) -> None:
    with pytest.raises(aopc.InputError, match="did you mean 'lrp-epsilon-100'"):
        aopc.heatmaps(network, images(1), "lrp-epsilon-10")
    with pytest.raises(aopc.InputError, match="cannot import"):
        aopc.heatmaps(network, images(1), "no.such.module:function")


def test_nonfinite_heatmaps_name_the_image_or_become_nan(network: nn.Sequential) -> None:
    def broken(model: nn.Module, batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        result = batch.sum(1)
        result[0, 3, 4] = float("inf")
        return result

    with pytest.raises(aopc.InputError, match=r"image cat\.png"):
        aopc.heatmaps(network, images(2), broken, image_ids=["cat.png", "dog.png"])
    maps = aopc.heatmaps(network, images(2), broken, allow_nonfinite=True)
    assert np.isnan(maps[0]).all()
    assert np.isfinite(maps[1]).all()


def test_a_dead_network_has_zero_heatmaps() -> None:
    model = small_network()
    nn.init.zeros_(model[-1].weight)
    assert zero_heatmaps(aopc.heatmaps(model, images(2), "lrp-epsilon-0.01")).all()


def test_wrong_shape_of_a_users_explainer_is_said(network: nn.Sequential) -> None:
    with pytest.raises(aopc.InputError, match=r"must return heatmaps of shape \(2, 13, 13\)"):
        aopc.heatmaps(network, images(2), lambda model, batch, targets: batch)


def test_lrp_refuses_layers_without_a_rule() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(3 * 13 * 13), nn.Linear(3 * 13 * 13, 2))
    with pytest.raises(aopc.InputError, match="no rule for the layer '1' of type LayerNorm"):
        aopc.heatmaps(model, images(1), "lrp-epsilon-100")


class Steps(nn.Module):
    """Networks that the rules do not cover, by what is special in them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv, self.again = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        if kind == "misfit":  # a linear layer is defined right before the batch normalisation
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 13, 2))
        if kind in ("order", "misfit"):
            self.second, self.first = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
            for norm in (self.first, self.second):
                nn.init.uniform_(norm.running_mean, -3, 3)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 13, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "residual":
            return self.head(x + self.conv(x))
        if self.kind == "twice":
            return self.head(self.conv(torch.relu(self.conv(x))))
        if self.kind == "mean":
            return self.head(self.conv(x)).mean(1, keepdim=True)
        if self.kind in ("order", "misfit"):
            return self.head(self.second(self.again(torch.relu(self.first(self.conv(x))))))
        raise NotImplementedError


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("residual", "no rule for the step 'add'"),
        ("twice", "'conv' runs 2 times"),
        ("mean", "no rule for the step 'mean'"),
        ("order", "in the order in which they run"),
        ("misfit", "in the order in which they run"),
    ],
)
def test_lrp_refuses_what_its_rules_do_not_see(kind: str, message: str) -> None:
    torch.manual_seed(0)
    model = Steps(kind).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(aopc.InputError, match=message):
        aopc.heatmaps(model, images(1), "lrp-epsilon-0.01")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "squeezenet1_1"])
def test_lrp_takes_the_networks_of_its_time(name: str) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    model, x = get_model(name, num_classes=3), images(1, size=64)
    assert np.abs(aopc.heatmaps(model, x, "lrp-epsilon-0.01", [1])).max() > 0


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121"])
def test_lrp_refuses_networks_with_other_steps(name: str) -> None:
    from torchvision.models import get_model

    with pytest.raises(aopc.InputError, match="LRP"):
        aopc.heatmaps(get_model(name, num_classes=3), images(1, size=64), "lrp-epsilon-100", [1])


def test_a_batch_norm_that_cannot_be_merged_is_refused_and_nothing_changes() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(4 * 81, 2),
    )  # fmt: skip
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(aopc.InputError, match="cannot merge the batch normalisation '4'"):
        aopc.heatmaps(model, images(1), "lrp-epsilon-0.01")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_deconvolution_refuses_other_activations() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 121, 2))
    with pytest.raises(aopc.InputError, match="the layer '1' is of type ReLU6"):
        aopc.heatmaps(model, images(1), "deconvolution-l2")


@pytest.mark.parametrize("targets", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("name", ["sensitivity-l2", "lrp-epsilon-100"])
def test_targets_must_be_classes(network: nn.Sequential, name: str, targets: list[int]) -> None:
    with pytest.raises(aopc.InputError, match="classes from 0 to 2"):
        aopc.heatmaps(network, images(2), name, targets)


def test_deconvolution_refuses_functional_relu() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3 * 13 * 13, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.layer(x.flatten(1)))

    with pytest.raises(aopc.InputError, match="1 ReLUs are function calls"):
        aopc.heatmaps(Functional(), images(1), "deconvolution-l2")


@pytest.mark.parametrize("norm", [False, True])
def test_explainers_together_are_those_alone_on_one_forward_pass(norm: bool) -> None:
    """To the bit where they share the network, and each batch goes forward once."""
    model = small_network()
    if norm:
        model.insert(1, nn.BatchNorm2d(8))
        nn.init.uniform_(model[1].running_var, 0.5, 2)
        model.eval()
    x, targets = images(5), np.array([0, 1, 2, 0, 1])
    names = [*EXPLAINERS, "centre-first", "lrp-alpha2-beta1-lrn-identity"]
    together = aopc.explainers.heatmaps_of(model, x, names, targets, batch_size=2)
    assert list(together) == names
    for name in names:
        alone = aopc.heatmaps(model, x, name, targets, batch_size=2)
        np.testing.assert_array_equal(alone, together[name])
    if not norm:
        passes = []
        handle = model[0].register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
        aopc.explainers.heatmaps_of(model, x, names, targets, batch_size=2)
        handle.remove()
        # Three batches, and one pass that looks for ReLUs which are no modules.
        assert sum(passes) == 4
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
