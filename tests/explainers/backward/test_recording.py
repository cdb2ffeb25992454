"""A forward pass as it is seen call by call: its layers, its sums, and what no gradient follows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import aopc
from aopc.explainers.backward.recording import (
    AVERAGE,
    BATCH_NORM,
    LINEAR,
    PADDING,
    RESPONSE_NORM,
    Call,
    Layer,
    Recorder,
)
from aopc.models.zoo.normalisation import channel_norm

Network = Callable[[Tensor], Any]


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def recorded(network: Network, *shape: int, model: nn.Module | None = None) -> tuple[Recorder, Tensor, Any]:
    """What was seen of a function of images, the images as it was given them, and what it returned."""
    images = normal(*(shape or (2, 3, 6, 6)), seed=0).requires_grad_(True).clone()
    record = Recorder(nn.Identity() if model is None else model, images)
    with record:
        result = network(images)
    return record, images, result


W1, W2, W3, B = normal(4, 3, 3), normal(4, 3, 3, 3), normal(4, 3, 3, 3, 3), normal(4)
T1, T2, T3 = normal(3, 4, 3), normal(3, 4, 3, 3), normal(3, 4, 3, 3, 3)
MEAN, VARIANCE = normal(3), normal(3).square() + 0.5
D1, D2, D3 = (2, 3, 6), (2, 3, 6, 6), (2, 3, 4, 4, 4)

#: A function of the images that is one layer, its kind, and the images' shape.
LAYERS: dict[str, tuple[Network, str, tuple[int, ...]]] = {
    "linear": (lambda x: F.linear(x, normal(5, 6), normal(5)), LINEAR, (2, 6)),
    "conv1d": (lambda x: F.conv1d(x, W1, B, 2), LINEAR, D1),
    "conv2d": (lambda x: F.conv2d(x, W2, B, padding=1), LINEAR, D2),
    "conv2d by name": (lambda x: F.conv2d(input=x, weight=W2, bias=B, stride=2), LINEAR, D2),
    "conv2d without bias": (lambda x: F.conv2d(x, W2), LINEAR, D2),
    "conv3d": (lambda x: F.conv3d(x, W3, B), LINEAR, D3),
    "conv_transpose1d": (lambda x: F.conv_transpose1d(x, T1, B, 2), LINEAR, D1),
    "conv_transpose2d": (lambda x: F.conv_transpose2d(x, T2, B, output_padding=1, stride=2), LINEAR, D2),
    "conv_transpose3d": (lambda x: F.conv_transpose3d(x, T3, B), LINEAR, D3),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 2), AVERAGE, D1),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, padding=1, count_include_pad=False), AVERAGE, D2),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2), AVERAGE, D3),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 2), AVERAGE, D1),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), AVERAGE, D2),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, 2), AVERAGE, D3),
    "torch.mean": (lambda x: torch.mean(x, (2, 3)), AVERAGE, D2),
    "mean by name": (lambda x: torch.mean(input=x, dim=[2, 3], keepdim=True), AVERAGE, D2),
    "Tensor.mean": (lambda x: x.mean(-1), AVERAGE, D2),
    "torch.sum": (lambda x: torch.sum(x, dim=1), AVERAGE, D2),
    "Tensor.sum": (lambda x: x.sum((-1, 1)), AVERAGE, D2),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5), RESPONSE_NORM, D2),
    "channel_norm": (lambda x: channel_norm(x, 3, 0.5, 0.75, 1.5), RESPONSE_NORM, D2),
    "batch_norm": (lambda x: F.batch_norm(x, MEAN, VARIANCE, eps=0.1), BATCH_NORM, D2),
    "pad": (lambda x: F.pad(x, (1, 2)), PADDING, D2),
    "pad by name": (lambda x: F.pad(input=x, pad=(1, 2), mode="constant", value=0), PADDING, D2),
    "pad, reflected": (lambda x: F.pad(x, (1, 2, 1, 1), "reflect"), PADDING, D2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_call_between_its_two_nodes(name: str) -> None:
    network, kind, shape = LAYERS[name]
    record, images, result = recorded(network, *shape)
    torch.testing.assert_close(result, network(images.detach()), rtol=0, atol=0)
    (layer,) = record.layers.values()
    assert layer.kind == kind
    assert record.layers[result.grad_fn] is layer
    assert layer.exit is result.grad_fn
    assert [node for node, _ in layer.entry.next_functions] == [images.grad_fn]
    assert torch.equal(layer.input, images)
    assert not layer.input.requires_grad
    assert not layer.stale
    other = normal(*shape, seed=3)
    torch.testing.assert_close(layer(other), network(other), rtol=0, atol=0)
    assert layer.transposed == ("transpose" in name)
    assert (record.unfollowed, record.leaving, record.operands) == (set(), None, {})


@pytest.mark.parametrize(
    "network",
    [
        lambda x: x.mean(0),
        lambda x: x.mean((0, 1)),
        lambda x: x.sum((1, -4)),
        lambda x: x.sum(),
        lambda x: x.sum(()),
        lambda x: torch.mean(x, dim=0, keepdim=True),
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.batch_norm(x, MEAN.clone(), VARIANCE.clone(), None, None, True),
        lambda x: F.pad(x, (1, 1), value=2.0),
        lambda x: F.pad(x, (1, 1), "constant", 2.0),
        lambda x: F.conv2d(x.detach(), W2.clone().requires_grad_(True)),
        lambda x: F.relu(x),
    ],
)
def test_what_mixes_images_adds_constants_or_has_no_gradient_is_no_layer(network: Network) -> None:
    assert recorded(network)[0].layers == {}


def test_a_value_is_no_constant_where_it_is_not_used() -> None:
    (layer,) = recorded(lambda x: F.pad(x, (1, 1), "constant", 0.0))[0].layers.values()
    assert layer.kind == PADDING


def test_weights_are_those_of_the_call() -> None:
    for name, weight, bias in (("conv2d", W2, B), ("conv2d by name", W2, B), ("conv2d without bias", W2, None)):
        network, _, shape = LAYERS[name]
        (layer,) = recorded(network, *shape)[0].layers.values()
        found = {n: p.tolist() for n, p in layer.named_parameters()}
        assert found == {"weight": weight.tolist()} | ({} if bias is None else {"bias": bias.tolist()})


def test_arguments_of_a_normalisation_have_names_and_defaults() -> None:
    found = {}
    for name in ("local_response_norm", "channel_norm", "batch_norm", "conv2d"):
        network, _, shape = LAYERS[name]
        (layer,) = recorded(network, *shape)[0].layers.values()
        found[name] = dict(layer.arguments)
    local, channels, batch = (found[n] for n in ("local_response_norm", "channel_norm", "batch_norm"))
    assert {n: local[n] for n in ("size", "alpha", "beta", "k")} == {"size": 3, "alpha": 0.5, "beta": 0.75, "k": 1.0}
    assert {n: channels[n] for n in ("size", "alpha", "beta", "k")} == {"size": 3, "alpha": 0.5, "beta": 0.75, "k": 1.5}
    assert batch["running_mean"] is MEAN
    assert batch["running_var"] is VARIANCE
    assert (batch["weight"], batch["eps"]) == (None, 0.1)
    assert found["conv2d"] == {}


def test_the_same_call_with_other_parameters() -> None:
    network, _, shape = LAYERS["conv2d"]
    (layer,) = recorded(network, *shape)[0].layers.values()
    weight, bias, x = normal(4, 3, 3, 3, seed=7), normal(4, seed=8), normal(*shape, seed=9)
    other = layer.with_parameters(weight, bias)
    torch.testing.assert_close(other(x), F.conv2d(x, weight, bias, padding=1))
    torch.testing.assert_close(layer(x), F.conv2d(x, W2, B, padding=1))
    torch.testing.assert_close(layer.with_parameters(weight, None)(x), F.conv2d(x, weight, padding=1))
    assert (other.entry, other.exit, other.kind, other.stale) == (layer.entry, layer.exit, LINEAR, False)
    assert other.input is layer.input
    assert other.arguments == layer.arguments == {}


def test_a_layer_whose_input_changed_is_stale() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        z = F.conv2d(y, W2)
        y.add_(1)
        return z

    (layer,) = recorded(network)[0].layers.values()
    assert layer.stale
    assert layer.with_parameters(W2, None).stale


def test_the_input_has_the_weights_dtype() -> None:
    """As under automatic mixed precision, which casts within the call."""
    layer = Layer(LINEAR, F.linear, (normal(2, 6), normal(5, 6).bfloat16()), {})
    assert layer.input.dtype == torch.bfloat16


def test_a_call_is_named_by_its_function_and_the_innermost_layer() -> None:
    class Inner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).sin()

    model = Outer()
    record, _, result = recorded(model, model=model)
    node = result.grad_fn
    assert str(record.calls[node]) == "'sin' in the layer 'model' of type Outer"
    assert str(record.calls[node.next_functions[0][0]]) == "'exp' in the layer 'inner' of type Inner"
    record, _, result = recorded(lambda x: x.cos())
    assert record.calls[result.grad_fn] == Call("cos")
    assert str(Call("cos")) == "'cos'"


def test_a_node_keeps_the_call_that_made_it() -> None:
    """A later call that gives back what it was given made nothing."""
    record, _, result = recorded(lambda x: F.dropout(x.exp(), 0.5, training=False).contiguous())
    assert record.calls[result.grad_fn].function == "exp"


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("item", lambda x: x.max().item()),
        ("tolist", lambda x: x.tolist()),
        ("numpy", lambda x: x.detach().numpy()),
        ("__float__", lambda x: float(x.detach().max())),
        ("__int__", lambda x: int(x.detach().max())),
        ("__complex__", lambda x: complex(x.detach().max())),
        ("__array__", lambda x: x.detach().__array__()),
        ("register_hook", lambda x: (x * 2).register_hook(lambda gradient: gradient)),
    ],
)
def test_what_leaves_the_graph_is_named(name: str, network: Network) -> None:
    record = recorded(network)[0]
    assert record.leaving == Call(name)


def test_the_first_call_that_left_is_named_and_others_leave_nothing() -> None:
    record = recorded(lambda x: (x.max().item(), x.tolist()))[0]
    assert record.leaving == Call("item")
    record = recorded(lambda x: x + torch.ones(2).max().item() + float(torch.ones(())))[0]
    assert record.leaving is None


#: Sums of the images and something that holds no values of theirs, though it is made of them.
FOLLOWED: dict[str, Network] = {
    "zeros_like": lambda x: x + torch.zeros_like(x.detach()),
    "ones_like": lambda x: x + torch.ones_like(x.detach()),
    "empty_like": lambda x: x + torch.empty_like(x.detach()),
    "rand_like": lambda x: x + torch.rand_like(x.detach()),
    "randn_like": lambda x: x + torch.randn_like(x.detach()),
    "full_like": lambda x: x + torch.full_like(x.detach(), 2.0),
    "new_zeros": lambda x: x + x.detach().new_zeros(3, 1, 1),
    "new_ones": lambda x: x + x.detach().new_ones(3, 1, 1),
    "new_empty": lambda x: x + x.detach().new_empty(3, 1, 1),
    "new_full": lambda x: x + x.detach().new_full((3, 1, 1), 2.0),
    "to": lambda x: x.to(x.detach()) * 2,
    "type_as": lambda x: x.type_as(x.detach()) * 2,
    "view_as": lambda x: x.flatten(1).view_as(x.detach()),
    "reshape_as": lambda x: x.flatten(1).reshape_as(x.detach()),
    "expand_as": lambda x: x[:, :1].expand_as(x.detach()),
    "__getitem__": lambda x: x[:, x.detach()[0, :, 0, 0].argsort()],
    "by a mask": lambda x: x[x.detach() > 0],
    "gather": lambda x: x.gather(1, x.detach().argmax(1, keepdim=True)),
    "index_select": lambda x: x.index_select(1, x.detach()[0, :, 0, 0].argsort()),
    "take_along_dim": lambda x: x.take_along_dim(x.detach().argmax(1, keepdim=True), 1),
    "twice": lambda x: x * x,
    "a view of what is not theirs": lambda x: x * torch.ones(18).view(3, 6, 1),
    "shape": lambda x: x.reshape(x.detach().shape[0], -1) / x.size(1),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_forms_and_picks_take_no_values_without_a_gradient(name: str) -> None:
    record, _, result = recorded(FOLLOWED[name])
    assert result.grad_fn is not None
    assert record.unfollowed == set()


@pytest.mark.parametrize(
    "network",
    [
        lambda x: x + x.detach(),
        lambda x: x * (x > 0),
        lambda x: x.masked_fill(x < 0, 0),
        lambda x: x + x.detach().type_as(x),
        lambda x: x + x.detach().expand_as(x),
        lambda x: x.gather(1, x.argmax(1, keepdim=True)) * x.argmax(1, keepdim=True),
        lambda x: torch.cat([x, x.detach()]),
        lambda x: torch.stack((x, x.detach().exp())),
        lambda x: torch.add(x, other=x.detach().flatten().view(2, 3, 6, 6)),
        lambda x: x.new_ones(3, 1, 1).requires_grad_(True) * x.detach(),
        lambda x: x * torch.full_like(x, x.detach().max()),
    ],
)
def test_values_of_the_images_without_a_gradient_are_seen(network: Network) -> None:
    record, _, result = recorded(network)
    assert record.unfollowed == {result.grad_fn}


def test_what_is_written_into_another_tensor_comes_from_the_images() -> None:
    def into_all(x: Tensor) -> Tensor:
        kept = torch.zeros(2, 3, 6, 6)
        kept.copy_(x.detach())
        return x + kept

    def into_a_part(x: Tensor) -> Tensor:
        kept = torch.zeros(2, 3, 6, 6)
        kept[:, :1] = x.detach()[:, :1]
        return x + kept

    def read_as_a_part(x: Tensor) -> Tensor:
        kept = torch.zeros(2, 3, 6, 6)
        part = kept[:, :1]
        kept.copy_(x.detach())
        return x + part

    for network in (into_all, into_a_part, read_as_a_part):
        record, _, result = recorded(network)
        assert record.unfollowed == {result.grad_fn}
    record, _, result = recorded(lambda x: x + torch.zeros(2, 3, 6, 6).copy_(torch.ones(6)))
    assert record.unfollowed == set()


def plus(x: Tensor) -> Tensor:
    y = x * 1
    y += x * 3
    return y


def plus_in_place(x: Tensor) -> Tensor:
    return (x * 1).add_(x * 3)


@pytest.mark.parametrize(
    ("network", "factors"),
    [
        (lambda x: x + x * 3, (1, 3)),
        (lambda x: torch.add(x, x * 3), (1, 3)),
        (lambda x: torch.add(x, other=x * 3), (1, 3)),
        (lambda x: torch.add(x, x, alpha=3), (1, 3)),
        (lambda x: x.__radd__(x * 3), (1, 3)),
        (plus, (1, 3)),
        (plus_in_place, (1, 3)),
        (lambda x: (x * 1).add_(x, alpha=3), (1, 3)),
    ],
)
def test_both_contributions_to_a_sum_are_kept(network: Network, factors: tuple[int, int]) -> None:
    record, images, result = recorded(network)
    torch.testing.assert_close(result, 4 * images)
    ((node, operands),) = record.operands.items()
    assert node is result.grad_fn
    for (tensor, version), factor in zip(operands, factors, strict=True):
        torch.testing.assert_close(tensor, factor * images.detach())
        assert not tensor.requires_grad
        assert tensor._version == version


@pytest.mark.parametrize("add", [lambda y, z: y + z, torch.add])
def test_contributions_that_change_afterwards_show_it(add: Callable[[Tensor, Tensor], Tensor]) -> None:
    def network(x: Tensor, changed: int) -> Tensor:
        terms = [x * 1, x * 2]
        total = add(*terms)
        terms[changed].add_(1)
        return total

    for changed in (0, 1):
        (operands,) = recorded(lambda x, changed=changed: network(x, changed))[0].operands.values()
        assert [tensor._version != version for tensor, version in operands] == [changed == 0, changed == 1]


@pytest.mark.parametrize(
    "network", [lambda x: x + 0, lambda x: 0 + x, lambda x: sum([x]), lambda x: x.add(0.0), lambda x: torch.add(0, x)]
)
def test_a_sum_with_zero_adds_nothing(network: Network) -> None:
    assert list(recorded(network)[0].operands.values()) == [[]]


@pytest.mark.parametrize(
    "network", [lambda x: x + 1, lambda x: 1 + x, lambda x: torch.add(1, x), lambda x: x - x, lambda x: x.mul(3)]
)
def test_other_steps_are_no_sum_of_two(network: Network) -> None:
    assert recorded(network)[0].operands == {}


def test_a_change_in_place_of_a_view_is_made_beside_it() -> None:
    """And what it would have changed is not read afterwards, neither whole nor in part."""

    def network(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x * 2
        return y, F.relu(y.flatten(1), inplace=True)

    _, images, (before, after) = recorded(network)
    torch.testing.assert_close(before, 2 * images)
    torch.testing.assert_close(after, (2 * images).clamp(min=0).flatten(1))

    for read in (torch.exp, lambda y: y[:, :1], lambda y: torch.cat([y, y]), lambda y: F.conv2d(y, W2)):

        def late(x: Tensor, read: Network = read) -> Any:
            y = x * 2
            F.relu(y.flatten(1), inplace=True)
            return read(y)

        with pytest.raises(aopc.InputError, match="changed in place through a view: set inplace=False there"):
            recorded(late)

    def through_a_view(x: Tensor) -> Tensor:
        y = x * 2
        view = y.flatten(1)
        F.relu(view, inplace=True)
        return view.exp()

    with pytest.raises(aopc.InputError, match="reads by 'exp' a value that it changed in place through a view"):
        recorded(through_a_view)


def test_a_change_in_place_of_no_view_stays_one() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        F.relu(y, inplace=True)
        return y.exp()

    _, images, result = recorded(network)
    torch.testing.assert_close(result, (2 * images).clamp(min=0).exp())


def test_dropout_that_is_off_changes_nothing_in_place() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        F.dropout(y.flatten(1), 0.5, training=False, inplace=True)
        return y.exp()

    _, images, result = recorded(network)
    torch.testing.assert_close(result, (2 * images).exp())


def test_what_a_view_that_is_not_changed_shows_may_be_read() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        z = F.relu(y.flatten(1), inplace=False)
        return z.sum(1) + y.flatten(1).sum(1)

    assert recorded(network)[2].shape == (2,)


def test_sizes_of_what_was_changed_may_be_read() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        z = F.relu(y.flatten(1), inplace=True)
        return z.view(y.size(0), y.dim(), -1)

    assert recorded(network)[2].shape == (2, 4, 27)


def test_what_is_not_of_the_images_is_not_recorded() -> None:
    def network(x: Tensor) -> Tensor:
        weight = torch.ones(4, 3, 1, 1, requires_grad=True) + torch.ones(1)
        return F.conv2d(x, weight * 2).exp()

    record, _, result = recorded(network)
    assert record.operands == {}
    assert {call.function for call in record.calls.values()} == {"conv2d", "exp"}
    assert record.calls[result.grad_fn].function == "exp"


def test_views_of_other_tensors_may_be_read_beside_a_change_in_place() -> None:
    def network(x: Tensor) -> Tensor:
        y = x * 2
        return F.relu(y.flatten(1), inplace=True) * torch.ones(54, 2)[:, 0].view(2, 3, 9).flatten()[:1]

    _, images, result = recorded(network)
    torch.testing.assert_close(result, (2 * images).clamp(min=0).flatten(1))


def test_modules_that_are_not_the_models_have_no_name() -> None:
    """One that is made in the forward pass: the call is that of the layer that made it."""

    class Made(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.ReLU()(x)

    class Plain:
        """No module at all."""

        def apply(self, x: Tensor) -> Tensor:
            return x.exp()

    model = Made()
    record, _, result = recorded(model, model=model)
    assert str(record.calls[result.grad_fn]) == "'relu' in the layer 'model' of type Made"
    record, _, result = recorded(Plain().apply, model=model)
    assert record.calls[result.grad_fn] == Call("exp")
