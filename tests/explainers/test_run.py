"""Heatmaps of many images: targets, batches, and what explainers share."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.registry import EXPLAINERS, get_explainer
from aopc.explainers.run import heatmaps_of
from conftest import images, small_network


def test_targets_default_to_the_predicted_classes(network: nn.Sequential) -> None:
    x = images(3, 13, 13)
    predicted = network(x).argmax(1)
    np.testing.assert_array_equal(
        aopc.heatmaps(network, x, "sensitivity-l2"),
        aopc.heatmaps(network, x, "sensitivity-l2", predicted),
    )


@pytest.mark.parametrize("targets", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("name", ["sensitivity-l2", "lrp-epsilon-100"])
def test_targets_must_be_classes(network: nn.Sequential, name: str, targets: list[int]) -> None:
    with pytest.raises(aopc.InputError, match="must be classes"):
        aopc.heatmaps(network, images(2, 13, 13), name, targets)


@pytest.mark.parametrize("norm", [False, True])
def test_explainers_together_are_those_alone_on_one_forward_pass(norm: bool) -> None:
    """To the bit where they share the network, and each batch goes forward once."""
    model = small_network()
    if norm:
        model.insert(1, nn.BatchNorm2d(8))
        nn.init.uniform_(model[1].running_var, 0.5, 2)
        model.eval()
    x, targets = images(5, 13, 13), np.array([0, 1, 2, 0, 1])
    names = [*EXPLAINERS, "centre-first", "lrp-alpha2-beta1-lrn-identity"]
    together = heatmaps_of(model, x, names, targets, batch_size=2)
    assert list(together) == names
    for name in names:
        alone = aopc.heatmaps(model, x, name, targets, batch_size=2)
        np.testing.assert_array_equal(alone, together[name])
    if not norm:
        passes = []
        # What is tried out once a network is so in float64.
        handle = model[0].register_forward_hook(
            lambda _, __, y: passes.append(torch.is_grad_enabled() and y.dtype == torch.float32)
        )
        heatmaps_of(model, x, names, targets, batch_size=2)
        handle.remove()
        assert sum(passes) == 3
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def broken(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """NaN at one pixel of the images that begin below zero."""
    maps = x.sum(1)
    maps[x[:, 0, 0, 0] < 0, 3, 4] = torch.nan
    return maps


def test_heatmaps_that_are_not_finite_are_refused_by_name_or_nan_all_over(network: nn.Sequential) -> None:
    x = images(3, 13, 13).abs()
    x[1, 0, 0, 0] = -1
    for function, explainers in ((aopc.heatmaps, broken), (heatmaps_of, {"mine": broken})):
        name = "broken" if function is aopc.heatmaps else "mine"
        with pytest.raises(aopc.InputError, match=f"explainer '{name}' gave NaN or infinite values.* for image b:"):
            function(network, x, explainers, [0, 1, 2], image_ids=list("abc"))
        found = function(network, x, explainers, [0, 1, 2], allow_nonfinite=True)
        maps = found if isinstance(found, np.ndarray) else found["mine"]
        assert np.isnan(maps).all(axis=(1, 2)).tolist() == [False, True, False]
        np.testing.assert_array_equal(maps[[0, 2]], x[[0, 2]].sum(1).numpy())
        with pytest.raises(aopc.InputError, match="allow_nonfinite"):
            function(network, x, explainers, [0, 1, 2], allow_nonfinite=1)


def test_functions_and_ours_go_together_under_their_names(network: nn.Sequential) -> None:
    x, targets = images(3, 13, 13), [0, 1, 2]
    mixed = {
        "second": lambda m, x, t: x.sum(1) * (t + 1)[:, None, None],
        "ours": get_explainer("sensitivity-l2"),
        "first": lambda m, x, t: x[:, 0],
    }
    found = heatmaps_of(network, x, mixed, targets, batch_size=2)
    assert list(found) == ["second", "ours", "first"]
    np.testing.assert_allclose(found["second"], (x.sum(1) * torch.tensor([1, 2, 3])[:, None, None]).numpy())
    np.testing.assert_array_equal(found["ours"], aopc.heatmaps(network, x, "sensitivity-l2", targets, batch_size=2))
    np.testing.assert_array_equal(found["first"], x[:, 0].numpy())
    assert all(maps.dtype == np.float32 for maps in found.values())
    one = heatmaps_of(network, x, "sensitivity-l2", targets)
    assert list(one) == ["sensitivity-l2"]


def test_what_is_no_explainer_is_named_before_any_work(network: nn.Sequential) -> None:
    x = images(1, 13, 13)
    with pytest.raises(aopc.InputError, match="the explainer 'mine' is of type int"):
        heatmaps_of(network, x, {"ours": get_explainer("sensitivity-l2"), "mine": 3}, [0])
    with pytest.raises(aopc.InputError, match="give explainers by name, or functions as"):
        heatmaps_of(network, x, ["sensitivity-l2", broken], [0])

    def fails(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such layer")

    with pytest.raises(aopc.InputError, match="the explainer 'mine' failed: ValueError: no such layer"):
        heatmaps_of(network, x, {"mine": fails}, [0])


def test_targets_beyond_the_models_outputs_say_how_many_there_are(network: nn.Sequential) -> None:
    with pytest.raises(aopc.InputError, match="must be classes from 0 to 2, the model's outputs; got 3"):
        aopc.heatmaps(network, images(2, 13, 13), lambda m, x, t: x.sum(1), [0, 3])
    assert aopc.heatmaps(network, images(2, 13, 13), lambda m, x, t: x.sum(1), [0, 2]).shape == (2, 13, 13)


def test_a_heatmap_is_a_norm_or_the_sum_over_channels() -> None:
    """Of the gradient (3, −4, 0) at each pixel: 5 and 4; LRP's are sums of products with the pixel."""
    linear = nn.Linear(3, 1, bias=False)
    linear.weight.data = torch.tensor([[3.0, -4.0, 0.0]])
    model, x = nn.Sequential(nn.Flatten(), linear).eval(), torch.tensor([2.0, 1.0, 7.0]).reshape(1, 3, 1, 1)
    for name, expected in (("sensitivity-l2", 5), ("sensitivity-linf", 4), ("lrp-epsilon-0.01", 2 * 2 / 2.01)):
        np.testing.assert_allclose(aopc.heatmaps(model, x, name, [0]), [[[expected]]], rtol=1e-5)


@pytest.mark.parametrize(("weight", "lost"), [(1e-43, True), (-1e-43, True), (1e-41, False), (0.0, False)])
def test_what_float32_cannot_hold_is_refused_and_zero_is_no_such_value(weight: float, lost: bool) -> None:
    linear = nn.Linear(3, 1, bias=False).double()
    linear.weight.data = torch.tensor([[weight, 0.0, 0.0]]).double()
    model, x = nn.Sequential(nn.Flatten(), linear).eval(), torch.ones(1, 3, 1, 1).double()
    if lost:
        with pytest.raises(aopc.InputError, match=r"too small for float32 \(all below 1.4e-42\), for image 0"):
            aopc.heatmaps(model, x, "sensitivity-linf", [0])
        assert np.isnan(aopc.heatmaps(model, x, "sensitivity-linf", [0], allow_nonfinite=True)).all()
    else:
        np.testing.assert_allclose(aopc.heatmaps(model, x, "sensitivity-linf", [0]), [[[weight]]], rtol=1e-3)


def test_active_dropout_is_the_seeds_and_the_images() -> None:
    """The same whatever the batch and whichever explainer; functions meet it too, and their traces go with it."""
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 13 * 13, 3)).eval()
    x, ids, targets = images(4, 13, 13), list("abcd"), [0, 1, 2, 0]

    def own(model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x.requires_grad_()
        model(x).gather(1, targets[:, None]).sum().backward()
        return torch.linalg.vector_norm(x.grad, dim=1)

    def found(explainer: object, seed: int | None, size: int = 4) -> np.ndarray:
        return aopc.heatmaps(model, x, explainer, targets, image_ids=ids, batch_size=size, dropout_seed=seed)

    one = found("sensitivity-l2", 3)
    np.testing.assert_allclose(found("sensitivity-l2", 3, size=1), one, rtol=1e-6)
    np.testing.assert_allclose(found(own, 3, size=2), one, rtol=1e-5)
    assert (found("sensitivity-l2", 4) != one).any()
    assert (found("sensitivity-l2", None) != one).any()
    with pytest.raises(aopc.InputError, match="dropout_seed"):
        found("sensitivity-l2", 1.5)  # type: ignore[arg-type]


def test_a_network_for_one_image_gets_one_at_a_time() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3 * 13 * 13, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.reshape(1, -1))

    model, x = One().eval(), images(3, 13, 13)
    whole = nn.Sequential(nn.Flatten(), model.linear).eval()
    expected = aopc.heatmaps(whole, x, "sensitivity-l2", [0, 1, 2])
    np.testing.assert_allclose(aopc.heatmaps(model, x, "sensitivity-l2", [0, 1, 2]), expected, rtol=1e-6)


@pytest.mark.parametrize("explainer", ["sensitivity-l2", lambda m, x, t: m(x)[:, :1, None].expand(-1, 13, 13)])
def test_a_network_that_changes_its_input_does_not_change_the_users(explainer: object) -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3 * 13 * 13, 3)).eval()
    x = images(3, 13, 13)
    before = x.clone()
    for targets in ([0, 1, 2], None):
        aopc.heatmaps(model, x, explainer, targets)  # type: ignore[arg-type]
        assert torch.equal(x, before)
