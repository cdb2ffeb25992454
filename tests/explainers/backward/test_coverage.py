"""Networks that the rules do not cover are refused, by name, and left as they were."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import aopc
from aopc.explainers.backward.coverage import ACTIVATIONS, LINEAR_MAPS, MOVES, SCALINGS, SHIFTS, Graph
from aopc.explainers.backward.recording import Recorder
from conftest import images
from written import Written, maps, plain


class OwnIdentity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class ViewBackward0(OwnIdentity):
    """Named after a node that passes."""


def part_in_place(m: Written, x: Tensor) -> Tensor:
    y = m.a(x)
    y[:, :2].relu_()
    return m.head(m.b(y).flatten(1))


def assigned(m: Written, x: Tensor) -> Tensor:
    y = m.a(x)
    y[y < 0] = 0
    return m.head(m.b(y).flatten(1))


def hooked(m: Written, x: Tensor) -> Tensor:
    y = m.a(x)
    if y.requires_grad:
        y.register_hook(lambda gradient: 2 * gradient)
    return m.head(m.b(y).flatten(1))


def without_gradient(m: Written, x: Tensor) -> Tensor:
    with torch.no_grad():
        return plain(m, x)


#: What neither LRP nor deconvolution can follow, and what the message names.
REFUSED: dict[str, tuple[Callable[[Written, Tensor], Tensor], str]] = {
    "softmax": (lambda m, x: plain(m, x).softmax(1), "give the network without it"),
    "log softmax": (lambda m, x: F.log_softmax(plain(m, x), 1), "give the network without it"),
    "product": (lambda m, x: plain(m, x * x), "'mul'"),
    "gate": (lambda m, x: m.head((lambda y: y * m.gate(y.mean((2, 3))).sigmoid()[:, :, None, None])(m.a(x)).flatten(1)), "'mul'"),
    "detached gate": (lambda m, x: plain(m, x * x.detach().sigmoid()), "no gradient follows"),
    "masked": (lambda m, x: m.head((lambda y: y * (y > 0))(m.a(x)).flatten(1)), "no gradient follows"),
    "masked by another": (lambda m, x: plain(m, x * (x > 0).float()), "no gradient follows"),
    "detached branch": (lambda m, x: plain(m, x) + plain(m, x.detach()), "no gradient follows"),
    "branch without gradient": (lambda m, x: plain(m, x) + without_gradient(m, x), "no gradient follows"),
    "detached join": (lambda m, x: plain(m, torch.cat([x[:, :2], x[:, 2:].detach()], 1)), "no gradient follows"),
    "constant join": (lambda m, x: plain(m, torch.cat([x[:, :2], x.new_ones(len(x), 1, 6, 6)], 1)), "do not come from"),
    "constant stack": (lambda m, x: plain(m, torch.stack([x[:, 0], x[:, 1], x.new_ones(len(x), 6, 6)], 1)), "do not come"),
    "number": (lambda m, x: plain(m, x / x.max().item()), "'item' in the layer 'model' of type Written"),
    "array": (lambda m, x: plain(m, x) * float(x.detach().numpy().max()), "'numpy'"),
    "where": (lambda m, x: m.head(torch.where(m.a(x) > 0, m.a(x), 0).flatten(1)), "'where'"),
    "masked fill": (lambda m, x: m.head((lambda y: y.masked_fill(y < 0, 0))(m.a(x)).flatten(1)), "'masked_fill'"),
    "assigned": (assigned, "'__setitem__'"),
    "part in place": (part_in_place, "changes a part of a tensor in place"),
    "own function": (lambda m, x: plain(m, OwnIdentity.apply(x)), "OwnIdentityBackward"),
    "own function of a known name": (lambda m, x: plain(m, ViewBackward0.apply(x)), "ViewBackward0"),
    "reentrant checkpoint": (
        lambda m, x: torch.utils.checkpoint.checkpoint(lambda y: plain(m, y), x, use_reentrant=True), "Checkpoint",
    ),
    "hook": (hooked, "'register_hook'"),
    "weights from the image": (
        lambda m, x: m.head(F.conv2d(m.a(x), x.mean(0)[None, :, :1, :1].repeat(4, 2, 1, 1)[:, :4], padding=0).flatten(1)),
        "depend on the other images",
    ),
    "absolute": (lambda m, x: m.head(m.a(x).abs().flatten(1)), "'abs'"),
    "square": (lambda m, x: m.head((m.a(x) ** 2).flatten(1)), "'pow'|'__pow__'"),
    "layer norm": (lambda m, x: m.head(F.layer_norm(m.a(x), (4, 6, 6)).flatten(1)), "'layer_norm'"),
    "batch's own statistics": (lambda m, x: m.head(F.batch_norm(m.a(x), None, None, training=True).flatten(1)), "depend on the other images"),
    "sum over the batch": (lambda m, x: plain(m, x + 0 * x.sum(0, keepdim=True)), "depend on the other images"),
    "maximum of two": (lambda m, x: m.head(torch.maximum(m.a(x), -m.a(x)).flatten(1)), "'maximum'"),
    "rounded": (lambda m, x: plain(m, (m.a(x)[:, :3] * 8).div(2, rounding_mode="floor")), "'div'"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["lrp-epsilon-0.01", "deconvolution-l2"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_the_rules_do_not_see_is_refused_by_name(case: str, name: str) -> None:
    forward, message = REFUSED[case]
    with pytest.raises(aopc.InputError, match=message) as refused:
        maps(forward, name)
    assert "\n" not in str(refused.value)


ONLY_LRP: dict[str, tuple[Callable[[Written, Tensor], Tensor], str]] = {
    "batch norm alone": (lambda m, x: m.head(m.norm(m.relu(m.a(x))).flatten(1)), "does not directly follow"),
    "batch norm of what others read": (
        lambda m, x: (lambda y: m.head((m.norm(y) + y).flatten(1)))(m.a(x)), "does not directly follow",
    ),
    "constant": (lambda m, x: m.head((m.a(x) + 1).flatten(1)), "make it the bias"),
    "difference": (lambda m, x: m.head((m.a(x) - m.b(m.a(x))).flatten(1)), "'sub'"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONLY_LRP)
def test_what_only_lrp_cannot_follow(case: str) -> None:
    forward, message = ONLY_LRP[case]
    with pytest.raises(aopc.InputError, match=message):
        maps(forward, "lrp-epsilon-0.01")
    assert maps(forward, "deconvolution-l2").max() > 0


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y.clamp(min=0), F.relu6, F.gelu, F.silu, F.leaky_relu, torch.sigmoid, F.softplus,
        lambda y: F.threshold(y, 0, 0), lambda y: F.hardtanh(y, 0, 1e9), F.elu,
    ],
)  # fmt: skip
def test_deconvolution_refuses_other_activations(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(aopc.InputError, match="deconvolution has no rule for the step"):
        maps(lambda m, x: m.head(m.b(function(m.a(x))).flatten(1)), "deconvolution-l2")


class Leaky(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, 0.2)


def test_a_subclass_is_what_it_computes() -> None:
    with pytest.raises(aopc.InputError, match="'leaky_relu' in the layer 'relu' of type Leaky"):
        maps(plain, "deconvolution-l2", lambda m: setattr(m, "relu", Leaky()))
    np.testing.assert_array_equal(
        maps(plain, "lrp-epsilon-0.01", lambda m: setattr(m, "relu", Leaky())),
        maps(plain, "lrp-epsilon-0.01", lambda m: setattr(m, "relu", nn.LeakyReLU(0.2))),
    )


def test_code_that_python_does_not_run_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()
    script = torch.jit.trace(model, images(2, 6, 6))
    with pytest.raises(aopc.InputError, match="made by code that cannot be seen"):
        aopc.heatmaps(script, images(2, 6, 6), "lrp-epsilon-0.01")
    found = aopc.heatmaps(script, images(2, 6, 6), "sensitivity-l2")
    np.testing.assert_allclose(found, aopc.heatmaps(model, images(2, 6, 6), "sensitivity-l2"), rtol=1e-5)


@pytest.mark.parametrize("name", ["sensitivity-l2", "lrp-epsilon-0.01"])
def test_scores_that_no_gradient_follows_are_refused(name: str) -> None:
    with pytest.raises(aopc.InputError, match="do not depend on the images"):
        maps(without_gradient, name)


def test_a_value_changed_after_its_use_is_refused() -> None:
    def late(m: Written, x: Tensor) -> Tensor:
        y = m.a(x)
        z = m.b(y)
        y.relu_()
        return m.head((z + y).flatten(1))

    for name in ("sensitivity-l2", "lrp-epsilon-0.01"):
        with pytest.raises(aopc.InputError, match="in place"):
            maps(late, name)


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v3_small", "efficientnet_b0"])
def test_lrp_refuses_networks_with_other_steps(name: str) -> None:
    from torchvision.models import get_model

    with pytest.raises(aopc.InputError, match="LRP has no rule for the step"):
        aopc.heatmaps(get_model(name, num_classes=3), images(1, 32, 32), "lrp-epsilon-100", [1])


def test_lrp_refuses_layers_without_a_rule() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(3 * 13 * 13), nn.Linear(3 * 13 * 13, 2))
    with pytest.raises(aopc.InputError, match="no rule for the step 'layer_norm' in the layer '1' of type LayerNorm"):
        aopc.heatmaps(model, images(1, 13, 13), "lrp-epsilon-100")


def _number(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape).requires_grad_(True)


ROW, FLAT, DEEP, TABLE = (2, 4, 6), (2, 4, 6, 6), (2, 4, 4, 4, 4), (4, 6)

#: Kinds of nodes that move values: a function that has them, and the shape of what it is given.
MOVING: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "Alias": (torch.ops.aten.alias, FLAT),
    "View": (lambda x: x.view(2, -1), FLAT),
    "UnsafeView": (lambda x: torch.ops.aten._unsafe_view(x, [2, -1]), FLAT),
    "ReshapeAlias": (lambda x: torch.ops.aten._reshape_alias(x, [2, 144], [144, 1]), FLAT),
    "AsStrided": (lambda x: x.as_strided((2, 3), (1, 2)), FLAT),
    "Clone": (lambda x: x.clone(), FLAT),
    "ToCopy": (lambda x: x.double(), FLAT),
    "Lift": (torch.ops.aten.lift, FLAT),
    "LiftFresh": (torch.ops.aten.lift_fresh, FLAT),
    "Permute": (lambda x: x.permute(0, 2, 3, 1), FLAT),
    "Transpose": (lambda x: x.transpose(1, 2), FLAT),
    "T": (lambda x: x.t(), TABLE),
    "Expand": (lambda x: x[:1].expand(3, -1, -1, -1), FLAT),
    "Squeeze": (lambda x: x[:, :1].squeeze(1), FLAT),
    "Unsqueeze": (lambda x: x.unsqueeze(1), FLAT),
    "Repeat": (lambda x: x.repeat(1, 1, 1, 2), FLAT),
    "Flip": (lambda x: x.flip(2, 3), FLAT),
    "Roll": (lambda x: x.roll(1, 2), FLAT),
    "Slice": (lambda x: x[:, 1:], FLAT),
    "Select": (lambda x: x[:, 1], FLAT),
    "Split": (lambda x: x.split(2, 1)[0], FLAT),
    "SplitWithSizes": (lambda x: x.split([1, 3], 1)[1], FLAT),
    "Unbind": (lambda x: x.unbind(1)[2], FLAT),
    "Diagonal": (lambda x: x.diagonal(dim1=2, dim2=3), FLAT),
    "Unfold": (lambda x: x.unfold(2, 2, 2), FLAT),
    "Im2Col": (lambda x: F.unfold(x, 2), FLAT),
    "Index": (lambda x: x[:, torch.tensor([1, 0])], FLAT),
    "IndexSelect": (lambda x: x.index_select(1, torch.tensor([1, 0])), FLAT),
    "Gather": (lambda x: x.gather(1, torch.ones(2, 1, 6, 6, dtype=torch.long)), FLAT),
    "Cat": (lambda x: torch.cat([x, x], 1), FLAT),
    "Stack": (lambda x: torch.stack([x, x], 1), FLAT),
    "PixelShuffle": (lambda x: F.pixel_shuffle(x, 2), FLAT),
    "PixelUnshuffle": (lambda x: F.pixel_unshuffle(x, 2), FLAT),
    "ChannelShuffle": (lambda x: F.channel_shuffle(x, 2), FLAT),
    "ReflectionPad1D": (lambda x: F.pad(x, (1, 1), "reflect"), ROW),
    "ReflectionPad2D": (lambda x: F.pad(x, (1,) * 4, "reflect"), FLAT),
    "ReflectionPad3D": (lambda x: F.pad(x, (1,) * 6, "reflect"), DEEP),
    "ReplicationPad1D": (lambda x: F.pad(x, (1, 1), "replicate"), ROW),
    "ReplicationPad2D": (lambda x: F.pad(x, (1,) * 4, "replicate"), FLAT),
    "ReplicationPad3D": (lambda x: F.pad(x, (1,) * 6, "replicate"), DEEP),
    "UpsampleNearest1D": (lambda x: F.interpolate(x, scale_factor=2), ROW),
    "UpsampleNearest2D": (lambda x: F.interpolate(x, scale_factor=2), FLAT),
    "UpsampleNearest3D": (lambda x: F.interpolate(x, scale_factor=2), DEEP),
    "MaxPool2DWithIndices": (lambda x: F.max_pool2d(x, 2), FLAT),
    "MaxPool3DWithIndices": (lambda x: F.max_pool3d(x, 2), DEEP),
    "AdaptiveMaxPool2D": (lambda x: F.adaptive_max_pool2d(x, 2), FLAT),
    "AdaptiveMaxPool3D": (lambda x: F.adaptive_max_pool3d(x, 2), DEEP),
    "FractionalMaxPool2D": (lambda x: F.fractional_max_pool2d(x, 2, 2), FLAT),
    "FractionalMaxPool3D": (lambda x: F.fractional_max_pool3d(x, 2, 2), DEEP),
    "Max": (lambda x: x.max(1).values, FLAT),
}


def kind_of(result: Tensor) -> tuple[str, str]:
    """A node's name in torch, and without what says which form it is."""
    name = str(result.grad_fn.name()) if result.grad_fn is not None else ""
    return name, name.split("Backward")[0]


@pytest.mark.parametrize("kind", MOVING)
def test_each_output_of_a_node_that_moves_is_one_of_its_inputs(kind: str) -> None:
    function, shape = MOVING[kind]
    x = _number(*shape)
    result = function(x)
    name, found = kind_of(result)
    assert found == kind
    assert name in MOVES
    assert set(result.detach().flatten().tolist()) <= set(x.detach().flatten().tolist())
    (gradient,) = torch.autograd.grad(result.sum(), x)
    taken = torch.bincount(result.detach().flatten().long(), minlength=x.numel())
    assert gradient.flatten().tolist() == taken.tolist()


ACTIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": F.relu, "LeakyRelu": F.leaky_relu, "PreluKernel": lambda x: F.prelu(x, torch.tensor([0.2])),
    "RreluWithNoise": F.rrelu, "Elu": F.elu, "Celu": F.celu, "Gelu": F.gelu, "Silu": F.silu, "Mish": F.mish,
    "Softplus": F.softplus, "Sigmoid": torch.sigmoid, "LogSigmoid": F.logsigmoid, "Tanh": torch.tanh,
    "Hardtanh": F.hardtanh, "Hardswish": F.hardswish, "Hardsigmoid": F.hardsigmoid,
    "Threshold": lambda x: F.threshold(x, 0.1, 0), "Softshrink": F.softshrink, "Hardshrink": F.hardshrink,
    "Clamp": lambda x: x.clamp(0, 1), "ClampMin": lambda x: x.clamp_min(0), "ClampMax": lambda x: x.clamp_max(0),
}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIVE)
def test_an_activation_maps_each_value_by_itself(kind: str) -> None:
    x = torch.linspace(-3, 3, 8).requires_grad_(True)
    name, found = kind_of(ACTIVE[kind](x))
    assert found == kind
    assert name in ACTIVATIONS
    jacobian = torch.autograd.functional.jacobian(ACTIVE[kind], x.detach())
    assert torch.equal(jacobian, torch.diag(jacobian.diagonal()))


LINEAR_IN_ONE: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "Convolution": (lambda x: F.conv2d(x, torch.ones(2, 4, 3, 3)), FLAT),
    "Addmm": (lambda x: F.linear(x, torch.ones(3, 6), torch.zeros(3)), TABLE),
    "Mm": (lambda x: F.linear(x, torch.ones(3, 6)), TABLE),
    "AvgPool2D": (lambda x: F.avg_pool2d(x, 2), FLAT),
    "AvgPool3D": (lambda x: F.avg_pool3d(x, 2), DEEP),
    "AdaptiveAvgPool2D": (lambda x: F.adaptive_avg_pool2d(x, 2), FLAT),
    "AdaptiveAvgPool3D": (lambda x: F.adaptive_avg_pool3d(x, 2), DEEP),
}


@pytest.mark.parametrize("kind", LINEAR_IN_ONE)
def test_linear_nodes_are_linear(kind: str) -> None:
    function, shape = LINEAR_IN_ONE[kind]
    x = _number(*shape)
    name, found = kind_of(function(x))
    assert found == kind
    assert name in LINEAR_MAPS
    torch.testing.assert_close(function(3 * x), 3 * function(x))


def test_every_kind_of_node_is_tried() -> None:
    for known, tried in ((MOVES, MOVING), (ACTIVATIONS, ACTIVE), (LINEAR_MAPS, LINEAR_IN_ONE)):
        assert {name.split("Backward")[0] for name in known} == set(tried)
        assert {f"{kind}Backward0" for kind in tried} <= known
    assert "MaxBackward1" not in MOVES  # the largest of all values, which is shared among equal ones


def test_scalings_and_shifts_by_what_the_image_does_not_reach() -> None:
    x, c = _number(2, 3), torch.full((2, 3), 2.0)
    for known, results in (
        (SCALINGS, {"Mul": x * c, "Div": x / c, "Neg": -x}),
        (SHIFTS, {"Add": x + c, "Sub": x - c}),
    ):
        assert {kind_of(result)[0] for result in results.values()} <= known
        assert {name.split("Backward")[0] for name in known} == set(results)


def graph(network: Callable[[Tensor], Tensor], *shape: int) -> tuple[Graph, Tensor, Tensor]:
    """Of a function of images: the graph, its scores, and the images that it was given."""
    inputs = images(2, 6, 6).reshape(shape or (2, 3, 6, 6)).requires_grad_(True).clone()
    record = Recorder(nn.Identity(), inputs)
    with record:
        scores = network(inputs)
    assert inputs.grad_fn is not None
    return Graph(scores.grad_fn, inputs.grad_fn, record), scores, inputs


def test_which_inputs_the_images_reach() -> None:
    constant = torch.ones(2, 3, 6, 6, requires_grad=True)
    for network, places in (
        (lambda x: x + constant * 2, [0]),
        (lambda x: constant * 2 + x, [1]),
        (lambda x: x + x * 2, [0, 1]),
    ):
        found, scores, _ = graph(network)
        assert list(found.sources(scores.grad_fn)) == places


def test_preprocessing_moves_scales_and_shifts_the_image_and_nothing_else() -> None:
    constant = torch.ones(2, 3, 6, 6, requires_grad=True)
    for network, holds in (
        (lambda x: (x.flip(3) - 0.5) / 0.25 * constant, True),
        (lambda x: x.permute(0, 2, 3, 1).contiguous(), True),
        (lambda x: x + x.flip(3), False),
        (lambda x: torch.cat([x, x.flip(3)], 1), True),
        (lambda x: F.relu(x) * 2, False),
        (lambda x: F.avg_pool2d(x, 2) - 1, False),
        (lambda x: torch.cat([x, F.relu(x)], 1) - 1, False),
    ):
        found, scores, _ = graph(network)
        assert found.is_preprocessing(scores.grad_fn) is holds


def test_only_readers_and_what_is_before_a_layer() -> None:
    weight = torch.ones(4, 3, 1, 1)
    found, _, inputs = graph(lambda x: F.conv2d(x, weight))
    (layer,) = found.record.layers.values()
    assert found.before(layer) is inputs.grad_fn
    assert found.only_reader(layer)
    found, _, _ = graph(lambda x: F.conv2d(x, weight).sum(1) + x.sum(1))
    layers = [layer for layer in found.record.layers.values() if hasattr(layer, "weight")]
    assert [found.only_reader(layer) for layer in layers] == [False]


def test_scores_that_depend_on_weights_alone_are_refused() -> None:
    """Their gradient leads somewhere, but not to the images."""
    for name in ("sensitivity-l2", "lrp-epsilon-0.01"):
        with pytest.raises(aopc.InputError, match="do not depend on the images through anything that a gradient"):
            maps(lambda m, x: plain(m, x.detach()), name)
