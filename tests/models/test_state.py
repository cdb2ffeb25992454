"""What an explainer could leave other than before is put back, and what of it is the network's is said."""

# ruff: noqa: NPY002 (what explainers draw from)

import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as all_modules

from aopc.models.state import NetworkState, random_numbers, settings_as_before


class Own(nn.Module):
    """A layer of the user's, with a cache of its own and a function in an attribute."""

    level = 1

    def __init__(self) -> None:
        super().__init__()
        self.names, self.counts, self.seen = ["a"], {"a": 1}, {1}
        self.act = torch.relu

    def forward(self, x: Tensor) -> Tensor:
        return x


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Own(), nn.Dropout(0.5), nn.Linear(4, 2))
    model[0].register_forward_hook(lambda *_: None)
    model.scale, model.limit = torch.ones(2), 1.0
    return model.eval()


def other(*_: Any) -> Any:  # any function
    return None


#: What is no part of the network's function, or may change whenever it runs.
UNSAID: dict[str, Callable[[nn.Sequential], object]] = {
    "nothing": lambda m: None,
    "a mode": lambda m: m.train(),
    "one mode": lambda m: m[3].train(),
    "no gradients": lambda m: m.requires_grad_(False),
    "one without gradient": lambda m: m[4].bias.requires_grad_(False),
    "a gradient": lambda m: setattr(m[0].weight, "grad", torch.ones(4, 3)),
    "a number": lambda m: setattr(m, "limit", 2.0),
    "a number less": lambda m: delattr(m, "limit"),
    "a number more": lambda m: setattr(m, "more", 2.0),
    "a function more": lambda m: setattr(m, "more", other),
    "a tensor's values": lambda m: m.scale.mul_(2),
    "another tensor": lambda m: setattr(m, "scale", torch.zeros(2)),
    "a list": lambda m: m[2].names.append("b"),
    "another list": lambda m: setattr(m[2], "names", []),
    "a dictionary": lambda m: m[2].counts.update(a=2),
    "a set": lambda m: m[2].seen.clear(),
    "another member of a set": lambda m: (m[2].seen.clear(), m[2].seen.add(5)),
    "an equal parameter": lambda m: setattr(m[0], "weight", nn.Parameter(m[0].weight.detach().clone())),
    "an equal buffer": lambda m: m[1].register_buffer("running_mean", m[1].running_mean.clone()),
}
#: What is the network, and how it is called.
SAID: dict[str, tuple[Callable[[nn.Sequential], object], str]] = {
    "a parameter": (lambda m: m[0].weight.data.add_(1), "the parameter 0.weight"),
    "a parameter's shape": (lambda m: setattr(m[0].bias, "data", torch.ones(2)), "the parameter 0.bias"),
    "a parameter's dtype": (lambda m: setattr(m[0].bias, "data", m[0].bias.data.double()), "the parameter 0.bias"),
    "a buffer": (lambda m: m[1].running_mean.add_(1), "the buffer 1.running_mean"),
    "a value of a buffer": (lambda m: m[1].running_var[2].fill_(torch.nan), "the buffer 1.running_var"),
    "another parameter": (lambda m: setattr(m[4], "bias", nn.Parameter(torch.ones(2))), "the parameters of layer 4"),
    "no parameter": (lambda m: setattr(m[4], "bias", None), "the parameters of layer 4"),
    "one parameter more": (lambda m: setattr(m[2], "more", nn.Parameter(torch.ones(2))), "the parameters of layer 2"),
    "another buffer": (lambda m: setattr(m[1], "running_mean", torch.ones(4)), "the buffers of layer 1"),
    "a layer": (lambda m: m.append(nn.ReLU()), "the layers of the model"),
    "another layer": (lambda m: setattr(m, "2", nn.Identity()), "the layers of the model"),
    "a layer less": (lambda m: delattr(m, "3"), "the layers of the model"),
    "a layer in a layer": (lambda m: m[2].add_module("x", nn.ReLU()), "the layers of layer 2"),
    "a class": (lambda m: setattr(m[3], "__class__", nn.AlphaDropout), "the class of layer 3"),
    "the model's class": (lambda m: setattr(m, "__class__", nn.ModuleList), "the class of the model"),
    "a method": (lambda m: setattr(m[0], "forward", other), "the function forward of layer 0"),
    "a function in an attribute": (lambda m: setattr(m[2], "act", other), "the function act of layer 2"),
    "a hook": (lambda m: m[4].register_forward_hook(other), "a hook of layer 4"),
    "a hook before": (lambda m: m[4].register_forward_pre_hook(other), "a hook of layer 4"),
    "a backward hook": (lambda m: m[4].register_full_backward_hook(other), "a hook of layer 4"),
    "a hook less": (lambda m: m[0]._forward_hooks.clear(), "a hook of layer 0"),
    "another hook": (
        lambda m: m[0]._forward_hooks.update(dict.fromkeys(m[0]._forward_hooks, other)), "a hook of layer 0",
    ),
    "a hook on a parameter": (lambda m: m[0].weight.register_hook(other), "a hook on a parameter"),
    "a hook behind a parameter": (
        lambda m: m[0].weight.register_post_accumulate_grad_hook(other), "a hook on a parameter",
    ),
    "a hook on all": (lambda m: all_modules.register_module_forward_hook(other), "a hook on all modules"),
    "a hook before all": (lambda m: all_modules.register_module_forward_pre_hook(other), "a hook on all modules"),
    "a method of a class": (lambda m: setattr(Own, "forward", other), "the function forward of Own"),
    "a method of torch's": (lambda m: setattr(nn.Linear, "forward", other), "the function forward of Linear"),
    "a call": (lambda m: setattr(nn.Module, "__call__", other), "the function __call__ of Module"),
    "one method more": (lambda m: setattr(nn.Linear, "__call__", other), "the function __call__ of Linear"),
    "a function of torch": (lambda m: setattr(torch, "relu", other), "the function relu of torch"),
    "a function of layers": (
        lambda m: setattr(nn.functional, "relu", other), "the function relu of torch.nn.functional",
    ),
    "a function of tensors": (lambda m: setattr(torch.Tensor, "backward", other), "the function backward of Tensor"),
    "a function less": (lambda m: delattr(nn.Linear, "forward"), "the function forward of Linear"),
}  # fmt: skip


def require_as_before(model: nn.Sequential, state: NetworkState, before: dict[int, dict[str, Any]]) -> None:
    assert state.restore() == []
    for module in (model, *model):
        assert vars(module).keys() == before[id(module)].keys()
        assert all(vars(module)[name] is value for name, value in before[id(module)].items())
    assert [type(m) for m in model] == [nn.Linear, nn.BatchNorm1d, Own, nn.Dropout, nn.Linear]
    assert (model.limit, model.scale.tolist()) == (1.0, [1, 1])
    assert (model[2].names, model[2].counts, model[2].seen) == (["a"], {"a": 1}, {1})
    assert [len(m._forward_hooks) for m in model] == [1, 0, 0, 0, 0]
    assert not any(m.training for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    fresh = network()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), fresh.buffers(), strict=True))
    assert not isinstance(model[0].forward, type(other))
    x = torch.ones(2, 3)
    torch.testing.assert_close(model(x), fresh(x), rtol=0, atol=0)


@pytest.mark.parametrize("change", UNSAID)
def test_what_is_no_part_of_the_function_is_put_back_without_a_word(change: str) -> None:
    model = network()
    state, before = NetworkState(model), {id(m): dict(vars(m)) for m in model.modules()}
    UNSAID[change](model)
    assert state.restore() == []
    require_as_before(model, state, before)


@pytest.mark.parametrize("change", SAID)
def test_what_is_the_network_is_put_back_and_said(change: str) -> None:
    model = network()
    state, before = NetworkState(model), {id(m): dict(vars(m)) for m in model.modules()}
    act, name = SAID[change]
    act(model)
    assert state.restore() == [name]
    require_as_before(model, state, before)


def test_what_was_there_before_stays() -> None:
    """Hooks, gradients and frozen parameters of the user's own."""
    model = network()
    weight, bias = model[0].weight, model[0].bias
    weight.grad, kept = torch.ones(4, 3), []
    bias.requires_grad_(False)
    weight.register_hook(kept.append)
    weight.register_post_accumulate_grad_hook(lambda parameter: kept.append(parameter.grad))
    state, gradient = NetworkState(model), weight.grad
    state.without_gradients()
    assert weight.grad is None
    weight.register_hook(other)
    weight.grad = torch.zeros(4, 3)
    model.requires_grad_(True)
    assert state.restore() == ["a hook on a parameter"]
    assert weight.grad is gradient
    assert gradient.tolist() == torch.ones(4, 3).tolist()
    assert not bias.requires_grad
    model(torch.ones(2, 3)).sum().backward()
    assert len(kept) == 2


def test_a_change_is_said_once_and_all_of_them_are() -> None:
    model = network()
    state = NetworkState(model)
    model[4].register_forward_hook(other)
    model[4].register_forward_pre_hook(other)
    model[0].bias.data.add_(1)
    model[4].weight.data.add_(1)
    assert sorted(state.restore()) == ["a hook of layer 4", "the parameter 0.bias", "the parameter 4.weight"]


def test_values_that_are_no_numbers_are_unchanged_where_they_are_the_same() -> None:
    model = network()
    model[0].weight.data[0, 0] = torch.nan
    state = NetworkState(model)
    assert state.restore() == []
    model[0].weight.data[0, 0] = 1
    assert state.restore() == ["the parameter 0.weight"]
    assert model[0].weight.isnan().sum() == 1


def test_ordered_containers_keep_their_order() -> None:
    model = network()
    model[2].counts = OrderedDict(a=1, b=2)
    state = NetworkState(model)
    model[2].counts.move_to_end("a")
    model[2].counts["c"] = 3
    assert state.restore() == []
    assert list(model[2].counts.items()) == [("a", 1), ("b", 2)]


def settings() -> dict[str, Any]:
    """All that :func:`settings_as_before` puts back."""
    return {
        "dtype": torch.get_default_dtype(), "device": torch.get_default_device(), "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"), "autocast dtype": torch.get_autocast_dtype("cpu"),
        "cache": torch.is_autocast_cache_enabled(), "anomaly": torch.is_anomaly_enabled(),
        "gradients": torch.is_grad_enabled(), "inference": torch.is_inference_mode_enabled(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "mkldnn": torch.backends.mkldnn.enabled,
    }  # fmt: skip


SWITCHED: dict[str, Callable[[], object]] = {
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(2),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "warns": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "cache": lambda: torch.set_autocast_cache_enabled(False),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "gradients": lambda: torch.set_grad_enabled(False),
    "cudnn enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "cudnn benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "cudnn deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "mkldnn": lambda: setattr(torch.backends.mkldnn, "enabled", False),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("switch", SWITCHED)
def test_torchs_settings_are_what_they_were(switch: str, fails: bool) -> None:
    before = settings()
    try:
        with settings_as_before():
            SWITCHED[switch]()
            assert settings() != before
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert settings() == before


def test_settings_of_the_users_own_are_put_back_too() -> None:
    """Others than torch's usual ones."""
    usual = settings()
    with settings_as_before():
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.autograd.set_detect_anomaly(True)
        mine = settings()
        with settings_as_before():
            torch.use_deterministic_algorithms(False)
            torch.set_default_dtype(torch.float32)
            torch.set_default_device("cpu")
            torch.autograd.set_detect_anomaly(False)
        assert settings() == mine
    assert settings() == usual


@pytest.mark.parametrize(("on", "warns"), [(True, False), (True, True), (False, False)])
def test_determinism_is_put_back_as_strict_as_it_was(on: bool, warns: bool) -> None:
    with settings_as_before():
        torch.use_deterministic_algorithms(on, warn_only=warns)
        mine = settings()
        for other_way in ((False, False), (True, False), (True, True)):
            with settings_as_before():
                torch.use_deterministic_algorithms(other_way[0], warn_only=other_way[1])
            assert settings() == mine


def test_gradients_are_on_wherever_the_caller_is() -> None:
    x = torch.ones(2)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            with settings_as_before():
                y = x.clone().requires_grad_(True)
                y.square().sum().backward()
                assert y.grad.tolist() == [2, 2]
            assert not torch.is_grad_enabled()


def drawn() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_random_numbers_are_the_seeds_and_the_keys_and_go_on_as_before() -> None:
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = [drawn(), drawn()]
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    first = drawn()
    with random_numbers("a", "b"):
        one = drawn()
    assert [first, drawn()] == expected
    with random_numbers("a", "b"):
        assert drawn() == one
    with pytest.raises(KeyError), random_numbers("a", "b"):
        raise KeyError
    for key in (("a",), ("b", "a"), ()):
        with random_numbers(*key):
            assert all(a != b for a, b in zip(drawn(), one, strict=True))
    many = set()
    for key in map(str, range(300)):
        with random_numbers(key):
            many.add(drawn())
    assert len(many) == 300
    torch.manual_seed(6)
    with random_numbers("a", "b"):
        assert all(a != b for a, b in zip(drawn(), one, strict=True))


def test_tensors_without_values_of_their_own_are_left_alone() -> None:
    """On the meta device, sparse, or not made yet."""
    model = network()
    model.register_buffer("nowhere", torch.empty(3, device="meta"))
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    model.later = nn.LazyLinear(2)
    model.elsewhere = torch.empty(2, device="meta")
    assert NetworkState(model).restore() == []


def test_settings_of_a_class_are_its_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions are looked at alone: what else lies beside them is not the network's."""
    state = NetworkState(network())
    monkeypatch.setattr(Own, "level", 2)
    monkeypatch.setattr(Own, "__doc__", "another")
    monkeypatch.setattr(torch, "_of_a_test", other, raising=False)
    assert state.restore() == []
    assert (Own.level, Own.__doc__, torch._of_a_test) == (2, "another", other)
