"""Sets of rules in a graph: what they do to a signal by hand, where they act, and when they no longer do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import aopc
from aopc.explainers import lrp
from aopc.explainers.backward.coverage import Graph
from aopc.explainers.backward.recording import LINEAR, Recorder
from aopc.explainers.backward.rules import Plan, RuleSet
from aopc.explainers.backward.signals import Signals
from aopc.explainers.deconvolution import deconvolution
from aopc.explainers.sensitivity import gradient

Forward = Callable[[Tensor], Tensor]


class Written(nn.Module):
    """A function of the images as a network."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self._written = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._written(x)


def signal(rules: RuleSet, forward: Forward, x: Tensor, target: int = 0) -> Tensor:
    return Signals(Written(forward), {"": rules})(x, torch.full((len(x),), target))[""].values


EXACT = lrp.epsilon(epsilon=1e-12)


def pixels(*values: float) -> Tensor:
    """One image of a row of pixels in one channel, in double."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def test_only_a_set_without_layers_and_nodes_is_the_gradient() -> None:
    assert RuleSet().changes_nothing
    assert not RuleSet(layers={LINEAR: None}).changes_nothing
    assert not RuleSet(nodes={"ReluBackward0": None}).changes_nothing
    assert not RuleSet(layers={LINEAR: None}, nodes={"ReluBackward0": None}).changes_nothing
    assert RuleSet() == RuleSet("the gradient", {}, {}, None, folds=False, divides=False, starts_from_score=False)


def test_a_sum_of_two_branches_shares_by_what_each_adds() -> None:
    """x = (2, 3): 2 + 3 · 3 = 11 and f = 2 · 11 = 22, of which 2 / 11 · 22 = 4 and 9 / 11 · 22 = 18."""
    twice = torch.tensor([[2.0]]).double()
    found = signal(EXACT, lambda x: F.linear((x[..., :1] + 3 * x[..., 1:]).flatten(1), twice), pixels(2, 3))
    np.testing.assert_allclose(found.flatten(), [4, 18], rtol=1e-9)


def test_signs_and_epsilon_count_in_a_sum() -> None:
    """5 − 2 = 3 with ε = 1: 5 / 4 · 3 and −2 / 4 · 3."""
    found = signal(lrp.epsilon(epsilon=1.0), lambda x: (x[..., :1] + x[..., 1:]).flatten(1), pixels(5, -2))
    np.testing.assert_allclose(found.flatten(), [5 / 4 * 3, -2 / 4 * 3], rtol=1e-9)


def test_a_sum_of_one_value_with_several_takes_it_once_for_each() -> None:
    """(1) + (2, 3) = (3, 4) and f = 7: the first is in both, 1 / 3 · 3 + 1 / 4 · 4 = 2."""
    found = signal(EXACT, lambda x: (x[..., :1] + x[..., 1:]).sum(-1).flatten(1), pixels(1, 2, 3))
    np.testing.assert_allclose(found.flatten(), [2, 2, 3], rtol=1e-9)


def test_steps_on_single_values_pass_relevance_whole() -> None:
    """f = 2 · tanh(3 · 0.5) on one pixel: all of it, which neither factor nor slope changes."""
    found = signal(EXACT, lambda x: 2 * torch.tanh(3 * x.flatten(1)), pixels(0.5))
    np.testing.assert_allclose(found.flatten(), [2 * np.tanh(1.5)], rtol=1e-12)
    by_gradient = signal(gradient(), lambda x: 2 * torch.tanh(3 * x.flatten(1)), pixels(0.5))
    np.testing.assert_allclose(by_gradient.flatten(), [6 * (1 - np.tanh(1.5) ** 2)], rtol=1e-12)


def test_a_factor_gets_no_relevance() -> None:
    """A constant that is broadcast, on either side."""
    gain = torch.tensor([2.0, 4.0]).double()
    for forward in (lambda x: (x * gain).flatten(1).sum(1, keepdim=True), lambda x: (gain * x).flatten(1).sum(1, True)):
        found = signal(EXACT, forward, pixels(1, 3))
        np.testing.assert_allclose(found.flatten(), [2, 12], rtol=1e-9)
    found = signal(EXACT, lambda x: (x * gain).flatten(1).sum(1, True), pixels(3))
    np.testing.assert_allclose(found.flatten(), [18], rtol=1e-9)


def test_deconvolution_lets_positive_signals_through_whatever_the_relu_passed() -> None:
    """The score is 1 · 2 − 3 · 0 = 2 behind two ReLUs: the signals (2, −6) arrive, and the second stays out."""
    weight = torch.tensor([[1.0, -3.0]]).double()
    found = signal(deconvolution(), lambda x: F.linear(F.relu(x.flatten(1)), weight), pixels(2, -5))
    np.testing.assert_allclose(found.flatten(), [2, 0])
    found = signal(deconvolution(), lambda x: F.linear(F.relu(x.flatten(1)), -weight), pixels(-2, 5))
    np.testing.assert_allclose(found.flatten(), [-0.0, 45])
    # A ReLU that was shut does not stop the signal: score −2 · −1 + 0 · 3.
    found = signal(deconvolution(), lambda x: F.linear(F.relu(x.flatten(1)), torch.ones(1, 2).double()), pixels(2, -5))
    np.testing.assert_allclose(found.flatten(), [2, 2])


def network(x: Tensor) -> Tensor:
    first, second = (torch.linspace(-1, 1, n).double().reshape(s) for n, s in ((12, (4, 3)), (8, (2, 4))))
    y = F.relu(F.linear(x.flatten(1), first, torch.ones(4).double()))
    return F.linear(y + y, second)


@pytest.mark.parametrize("names", ["lg", "gl", "ldgl", "dlg"])
def test_rules_act_for_their_own_set_alone(names: str) -> None:
    sets = {"l": EXACT, "d": deconvolution(), "g": gradient()}
    x, targets = torch.tensor([[[[2.0, -1.0, 0.5]]], [[[1.0, 1.0, -3.0]]]]).double(), torch.tensor([0, 1])
    alone = {n: Signals(Written(network), {n: sets[n]})(x, targets)[n].values for n in sets}
    together = Signals(Written(network), {f"{n}{i}": sets[n] for i, n in enumerate(names)})(x, targets)
    assert len(together) == len(names)
    for name, found in together.items():
        torch.testing.assert_close(found.values, alone[name[0]], rtol=0, atol=0)
    assert not torch.equal(alone["l"], alone["g"])


def planned(rules: RuleSet, forward: Forward, x: Tensor) -> tuple[Plan, Tensor, Tensor, list[tuple[Tensor, bool]]]:
    """A plan, the scores and the images of its graph, and what it has seen so far."""
    leaf = x.clone().requires_grad_(True)
    inputs, seen = leaf.clone(), list[tuple[Tensor, bool]]()
    record = Recorder(nn.Identity(), inputs)
    with record:
        scores = forward(inputs)

    def see(value: Tensor, *, values: bool = False) -> None:
        seen.append((value, values))

    assert inputs.grad_fn is not None
    return Plan(Graph(scores.grad_fn, inputs.grad_fn, record), rules, see), scores, leaf, seen


def test_a_plan_acts_within_its_context_and_not_behind_it() -> None:
    plan, scores, leaf, _ = planned(EXACT, network, pixels(2, -1, 0.5))

    def backward() -> Tensor:
        return torch.autograd.grad(scores, leaf, torch.ones_like(scores), retain_graph=True)[0]

    before = backward()
    with plan.in_place():
        within = backward()
    assert not torch.equal(before, within)
    torch.testing.assert_close(backward(), before, rtol=0, atol=0)
    with pytest.raises(KeyError), plan.in_place():
        raise KeyError
    torch.testing.assert_close(backward(), before, rtol=0, atol=0)
    with plan.in_place():
        torch.testing.assert_close(backward(), within, rtol=0, atol=0)


def test_all_signals_that_rules_make_are_seen_and_what_divides_them() -> None:
    plan, scores, leaf, seen = planned(EXACT, network, pixels(2, -1, 0.5))
    assert all(values for _, values in seen)
    assert sorted(tuple(v.shape) for v, _ in seen) == [(1, 3), (1, 4)]
    del seen[:]
    with plan.in_place():
        (found,) = torch.autograd.grad(scores, leaf, torch.ones_like(scores))
    assert not any(values for _, values in seen)
    # Two linear layers' signals, and both shares of the sum; an activation passes on what it was given.
    assert [tuple(v.shape) for v, _ in seen] == [(1, 4), (1, 4), (1, 4), (1, 3)]
    torch.testing.assert_close(seen[-1][0].flatten(), found.flatten())
    _, _, _, seen = planned(deconvolution(), network, pixels(2, -1, 0.5))
    assert seen == []


def test_what_a_rule_leaves_out_of_a_signal_is_seen() -> None:
    plan, scores, leaf, seen = planned(deconvolution(), network, pixels(2, -1, 0.5))
    with plan.in_place():
        torch.autograd.grad(scores, leaf, torch.tensor([[1.0, 0.0]]).double())
    assert not any(values for _, values in seen)
    # (-1, 0.25 …) of the second layer's weights in its first row, twice; what is negative stays out.
    row = 2 * torch.linspace(-1, 1, 8).double()[:4]
    assert (row < 0).any()
    assert any(value.shape == (1, 4) and bool((value == 0).all()) for value, _ in seen)


def normed(x: Tensor, *, twice: bool = False, reads: bool = False) -> Tensor:
    """Linear, then batch normalisation; by hand where there is one input."""
    y = F.linear(x.flatten(1), torch.tensor([[2.0], [-1.0]]).double(), torch.tensor([1.0, 0.0]).double())
    mean, variance = torch.tensor([1.0, -2.0]).double(), torch.tensor([4.0, 0.25]).double()
    z = F.batch_norm(y, mean, variance, eps=0.0)
    if twice:
        z = F.batch_norm(
            z, mean, variance, torch.tensor([2.0, 1.0]).double(), torch.tensor([0.5, 0.0]).double(), eps=0.0
        )
    return z + y if reads else z


def test_batch_normalisation_is_one_layer_with_the_one_before() -> None:
    """x = 3: class 0 is (2 · 3 + 1 − 1) / 2 = 3 without a bias left, class 1 is (−3 + 2) / ½ = −2, of which
    −3 / ½ = −6 is x's.
    """
    for target, expected in ((0, 3.0), (1, -6.0)):
        np.testing.assert_allclose(signal(EXACT, normed, pixels(3), target).flatten(), [expected], rtol=1e-9)


def test_two_batch_normalisations_in_a_row_are_folded_in_order() -> None:
    """Class 0: ((2x + 1 − 1) / 2 − 1) / 2 · 2 + 0.5 = x − 0.5; class 1: ((−x + 2) / ½ + 2) / ½ = −4x + 12."""
    for target, expected in ((0, 2.0), (1, -8.0)):
        found = signal(EXACT, lambda x: normed(x, twice=True), pixels(2), target)
        np.testing.assert_allclose(found.flatten(), [expected], rtol=1e-9)


REFUSED: dict[str, tuple[Forward, str]] = {
    "batch norm of what others read": (lambda x: normed(x, reads=True), "does not directly follow"),
    "batch norm of nothing linear": (
        lambda x: F.batch_norm(x.flatten(1), torch.zeros(1).double(), torch.ones(1).double()), "does not directly follow",
    ),
    "second batch norm of what others read": (
        lambda x: (lambda z: F.batch_norm(z, torch.zeros(2).double(), torch.ones(2).double()) + z)(normed(x)),
        "does not directly follow",
    ),
    "constant": (lambda x: normed(x) + 1, "which adds what does not come from the image: make it the bias"),
    "difference": (lambda x: normed(x) - x.flatten(1), "no rule for the step 'sub'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_rule_does_not_fit_is_refused_with_the_reason(case: str) -> None:
    forward, said = REFUSED[case]
    with pytest.raises(aopc.InputError, match=f"LRP has no rule.*{said}|LRP.*{said}"):
        signal(EXACT, forward, pixels(3))


@pytest.mark.parametrize("which", [0, 1])
def test_a_sum_whose_terms_change_afterwards_is_refused(which: int) -> None:
    def forward(x: Tensor) -> Tensor:
        terms: list[Any] = [x.flatten(1) * 2, x.flatten(1) * 3]
        total = terms[0] + terms[1]
        terms[which].mul_(5)
        return total

    with pytest.raises(aopc.InputError, match="whose inputs are changed in place afterwards"):
        signal(EXACT, forward, pixels(3))
    assert signal(deconvolution(), forward, pixels(3)).abs().sum() > 0


def test_constants_on_the_image_itself_are_preprocessing_and_zero_is_none() -> None:
    """The pixel has the relevance of its normalised value: (3 − 1) / 2 · 5 = 5."""
    for forward in (
        lambda x: F.linear((x.flatten(1) - 1) / 2, torch.tensor([[5.0]]).double()),
        lambda x: F.linear((-1 + x.flatten(1)) / 2, torch.tensor([[5.0]]).double()) + 0,
    ):
        np.testing.assert_allclose(signal(EXACT, forward, pixels(3)).flatten(), [5], rtol=1e-9)
