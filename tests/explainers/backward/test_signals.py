"""Signals that are too small for float32."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.explainers import lrp
from aopc.explainers.backward import signals
from aopc.explainers.deconvolution import deconvolution
from aopc.explainers.sensitivity import gradient
from conftest import images, small_network


def deep(layers: int) -> nn.Sequential:
    """ε = 100 takes some three decimal places a layer."""
    torch.manual_seed(0)
    hidden = [module for _ in range(layers) for module in (nn.Linear(192, 192), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(192, 3)).eval()


@pytest.mark.parametrize("layers", [2, 7, 10])
def test_large_epsilon_in_a_deep_network_is_float64s(layers: int) -> None:
    model, x = deep(layers), images(3, 8, 8)
    found = aopc.heatmaps(model, x, "lrp-epsilon-100", [0, 1, 2])
    expected = aopc.heatmaps(model.double(), x.double(), "lrp-epsilon-100", [0, 1, 2])
    assert 0 < np.abs(expected).max() < 10.0 ** (-3 * layers)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_what_float32_cannot_hold_is_refused_or_nan() -> None:
    model, x = deep(18), images(2, 8, 8)
    with pytest.raises(aopc.InputError, match=r"too small for float32 .*images 0, 1"):
        aopc.heatmaps(model, x, "lrp-epsilon-100", [0, 1])
    assert np.isnan(aopc.heatmaps(model, x, "lrp-epsilon-100", [0, 1], allow_nonfinite=True)).all()
    assert np.isfinite(aopc.heatmaps(model, x, "lrp-alpha2-beta1", [0, 1])).all()


def test_which_images_are_computed_in_float64_does_not_depend_on_the_batch() -> None:
    model, x = deep(6), images(4, 8, 8)
    x[1:3] *= 1e-4  # their relevance is far smaller, too small for float32
    together = aopc.heatmaps(model, x, "lrp-epsilon-100", [0, 1, 2, 0])
    alone = np.concatenate([aopc.heatmaps(model, x[i : i + 1], "lrp-epsilon-100", [[0, 1, 2, 0][i]]) for i in range(4)])
    scale = np.abs(together).max((1, 2), keepdims=True)
    np.testing.assert_allclose(together / scale, alone / scale, rtol=0, atol=1e-6)


def test_nothing_is_computed_twice_where_float32_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_in_double", None)
    model, x = small_network(), images(3, 13, 13)
    sets = {"a": gradient(), "b": deconvolution(), "c": lrp.epsilon(epsilon=100.0), "d": lrp.alpha_beta()}
    found = signals.Signals(model, sets)(x, torch.tensor([0, 1, 2]))
    assert all(signal.wide is None for signal in found.values())


@pytest.mark.parametrize("power", [10, 16, 18])
def test_alpha_beta_does_not_depend_on_the_scale_of_activations(power: int) -> None:
    """Without biases: denominators of 10⁻³⁶ are no zeros."""
    torch.manual_seed(0)
    layers = [
        nn.Linear(192, 20, bias=False),
        nn.ReLU(),
        nn.Linear(20, 20, bias=False),
        nn.ReLU(),
        nn.Linear(20, 3, bias=False),
    ]
    model, x = nn.Sequential(nn.Flatten(), *layers).eval(), images(2, 8, 8)
    expected = aopc.heatmaps(model, x, "lrp-alpha2-beta1", [0, 1])
    for layer, scale in ((layers[0], 10.0**-power), (layers[2], 10.0**-power), (layers[4], 10.0 ** (2 * power))):
        layer.weight.data *= scale
    found = aopc.heatmaps(model, x, "lrp-alpha2-beta1", [0, 1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_network_that_cannot_run_in_float64_says_so() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = deep(12)
            self.constant = torch.eye(192)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(nn.functional.linear(x.flatten(1), self.constant))

    with pytest.raises(aopc.InputError, match="does not run in float64"):
        aopc.heatmaps(Single().eval(), images(1, 8, 8), "lrp-epsilon-100", [0])


def test_active_dropout_has_the_same_masks_in_float64() -> None:
    model = deep(7)
    model.insert(3, nn.Dropout(0.5))
    x = images(3, 8, 8)
    found = aopc.heatmaps(model, x, "lrp-epsilon-100", [0, 1, 2], dropout_seed=1)
    expected = aopc.heatmaps(model.double(), x.double(), "lrp-epsilon-100", [0, 1, 2], dropout_seed=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["sensitivity-l2", "deconvolution-l2", "lrp-epsilon-0.01"])
def test_networks_that_begin_in_place_leave_the_images_alone(name: str) -> None:
    model, x = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(192, 5)).eval(), images(2, 8, 8)
    before = x.clone()
    plain = nn.Sequential(nn.ReLU(), *model[1:])
    np.testing.assert_array_equal(aopc.heatmaps(model, x, name), aopc.heatmaps(plain, x, name))
    assert torch.equal(x, before)


def single(weight: float) -> nn.Sequential:
    """One pixel with one weight."""
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, weight)
    return nn.Sequential(nn.Flatten(), linear).eval()


@pytest.mark.parametrize(("score", "double"), [(1e-20, False), (1e-23, False), (1e-26, True), (1e-30, True)])
def test_how_small_relevance_may_be_in_float32(score: float, double: bool) -> None:
    """Products of two of its rounding errors must be normal numbers: 2⁻¹²⁶ / 2⁻⁴⁶ = 2⁻⁸⁰, some 8 · 10⁻²⁵."""
    rules = lrp.epsilon(epsilon=1e-60)
    found = signals.Signals(single(score), {"": rules})(torch.ones(1, 1, 1, 1), torch.tensor([0]))[""]
    assert (found.wide is not None) == double
    np.testing.assert_allclose((found.values if found.wide is None else found.wide).flatten(), [score], rtol=1e-4)


def test_only_the_images_that_need_it_take_the_float64_heatmap() -> None:
    values, wide = torch.ones(2, 3, 1, 2), torch.full((2, 3, 1, 2), 2.0).double()
    found = signals.Signal(values, wide, torch.tensor([False, True])).heatmaps(lambda s: s.sum(1))
    assert found.dtype == torch.float64
    assert found.tolist() == [[[3, 3]], [[6, 6]]]
    for plain in (
        signals.Signal(values),
        signals.Signal(values, wide),
        signals.Signal(values, None, torch.ones(2) > 0),
    ):
        assert plain.heatmaps(lambda s: s.sum(1)).tolist() == [[[3, 3]], [[3, 3]]]
        assert plain.heatmaps(lambda s: s.sum(1)).dtype == torch.float32


def test_a_signal_starts_at_the_targets_class_with_the_score_or_with_one() -> None:
    """Scores (2, −12) at the pixel 4: LRP gives them back, deconvolution the weight times the score."""
    linear = nn.Linear(1, 2, bias=False)
    linear.weight.data = torch.tensor([[0.5], [-3.0]])
    model, x = nn.Sequential(nn.Flatten(), linear).eval(), torch.full((2, 1, 1, 1), 4.0)
    sets = {"gradient": gradient(), "deconvolution": deconvolution(), "lrp": lrp.epsilon(epsilon=1e-9)}
    found = signals.Signals(model, sets)(x, torch.tensor([0, 1]))
    assert list(found) == list(sets)
    for name, expected in (("gradient", [0.5, -3]), ("deconvolution", [1, 36]), ("lrp", [2, -12])):
        np.testing.assert_allclose(found[name].values.flatten(), expected, rtol=1e-6)
    assert signals.Signals(model, {})(x, torch.tensor([0, 1])) == {}


@pytest.mark.parametrize("targets", [[0, 3], [-1, 0], [4, 4]])
def test_targets_that_are_no_outputs_are_refused(targets: list[int]) -> None:
    with pytest.raises(
        aopc.InputError, match=f"from 0 to 2, the model's outputs; got {min(targets)} to {max(targets)}"
    ):
        signals.Signals(small_network(), {"": gradient()})(images(2, 13, 13), torch.tensor(targets))


def test_a_value_that_the_gradient_needs_and_that_changed_is_said() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(192, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = x.flatten(1).exp()
            y.mul_(2)
            return self.linear(y)

    with pytest.raises(aopc.InputError, match="changes in place a value that its gradient needs: set inplace=False"):
        signals.Signals(InPlace(), {"": gradient()})(images(2, 8, 8), torch.tensor([0, 1]))


def test_compiled_networks_run_as_they_were_written() -> None:
    model, x, targets = small_network(), images(2, 13, 13), torch.tensor([0, 1])
    compiled = torch.compile(small_network(), backend="eager")
    sets = {"lrp": lrp.epsilon(epsilon=0.01), "gradient": gradient()}
    expected, found = (signals.Signals(m, sets)(x, targets) for m in (model, compiled))
    for name in sets:
        torch.testing.assert_close(found[name].values, expected[name].values)


def test_relevance_that_vanishes_at_once_is_found_in_float64() -> None:
    """ε = 10²⁵ at two neurons of one input: exactly zero in float32, and 10⁻⁵⁰."""
    model = nn.Sequential(*single(1.0), single(1.0)[1]).eval()
    found = signals.Signals(model, {"": lrp.epsilon(epsilon=1e25)})(torch.ones(1, 1, 1, 1), torch.tensor([0]))[""]
    assert found.values.tolist() == [[[[0.0]]]]
    assert found.wide is not None
    np.testing.assert_allclose(found.wide.flatten(), [1e-50], rtol=1e-6)
