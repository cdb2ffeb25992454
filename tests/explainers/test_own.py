"""Users' own explainers: whatever they do, nobody else notices, or they are refused by name."""

# ruff: noqa: NPY002 (what explainers draw from)

import copy
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aopc
from aopc.explainers.registry import EXPLAINERS, FURTHER, get_explainer
from aopc.explainers.run import heatmaps_of
from aopc.models.state import NetworkState
from conftest import images, small_network

Explain = Callable[[nn.Module, Tensor, Tensor], Any]


def network() -> nn.Sequential:
    """With a buffer, dropout and a hook of the user's own."""
    model = small_network()
    model.insert(1, nn.BatchNorm2d(8))
    model.append(nn.Dropout(0.5))
    nn.init.uniform_(model[1].running_var, 0.5, 2)
    model[0].register_forward_hook(lambda *_: None)
    model.scale = torch.ones(2)
    return model.eval()


def gradient(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
    """The commonest way to write one."""
    batch.requires_grad_()
    model(batch).gather(1, targets[:, None]).sum().backward()
    return batch.grad.abs().sum(1)


def then_gradient(act: Callable[[nn.Module, Tensor, Tensor], object]) -> Explain:
    def explain(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
        maps = gradient(model, batch.clone(), targets)
        act(model, batch, targets)
        return maps

    return explain


KEPT: list[Tensor] = []


def keeps_and_changes(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    for tensor in KEPT:
        tensor.mul_(2)
    KEPT.extend([batch, targets])


def clears_gradients(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    model.zero_grad()
    for parameter in model.parameters():
        parameter.requires_grad = False


def draws(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    torch.rand(3), np.random.rand(3), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)


def sets_switches(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.set_autocast_enabled("cpu", True)
    torch.autograd.set_detect_anomaly(True)
    torch.set_default_device("meta")
    torch.backends.mkldnn.enabled = False
    torch.backends.cudnn.deterministic = True


HARMLESS = {
    "changes images": lambda m, x, t: x.mul_(0).add_(1),
    "changes targets": lambda m, x, t: t.zero_(),
    "asks for their gradient": lambda m, x, t: x.requires_grad_(),
    "changes kept ones later": keeps_and_changes,
    "trains": lambda m, x, t: m.train(),
    "trains one layer": lambda m, x, t: m[-1].train(),
    "leaves gradients": lambda m, x, t: gradient(m, x.clone(), t),
    "clears gradients": clears_gradients,
    "disables gradients": lambda m, x, t: torch.set_grad_enabled(False),
    "enters inference mode": lambda m, x, t: torch.inference_mode().__enter__(),
    "draws": draws,
    "sets switches": sets_switches,
    "keeps things in the model": lambda m, x, t: setattr(m, "last", x),
    "changes a setting": lambda m, x, t: setattr(m[0], "stride", (1, 1)),
    "changes a tensor of the model": lambda m, x, t: m.scale.mul_(2),
    "copies": lambda m, x, t: copy.deepcopy(m).double().train()[0].weight.data.zero_(),
}


def patches_relu(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    nn.ReLU.forward = lambda self, x: x


def adds_to_conv(model: nn.Module, batch: Tensor, targets: Tensor) -> None:
    nn.Conv2d.__call__ = lambda self, x: x


REFUSED = {
    "weights": (lambda m, x, t: m[0].weight.data.mul_(2), "the parameter 0.weight"),
    "weights under no_grad": (lambda m, x, t: nn.init.zeros_(m[0].bias), "the parameter 0.bias"),
    "another dtype": (lambda m, x, t: m.double(), "the parameter 0.weight"),
    "statistics": (lambda m, x, t: m.train()(x), "the buffer 1.running_mean"),
    "buffer": (lambda m, x, t: m[1].running_var.data.fill_(1), "the buffer 1.running_var"),
    "new parameter": (lambda m, x, t: setattr(m[0], "weight", nn.Parameter(torch.zeros(8, 3, 3, 3))), "parameters"),
    "no bias": (lambda m, x, t: m[0].register_parameter("bias", None), "the parameters of layer 0"),
    "new buffer": (lambda m, x, t: m.register_buffer("own", torch.zeros(1)), "the buffers of the model"),
    "hook": (lambda m, x, t: m[0].register_forward_hook(lambda *_: None), "a hook of layer 0"),
    "pre-hook": (lambda m, x, t: m.register_forward_pre_hook(lambda *_: None), "a hook of the model"),
    "backward hook": (lambda m, x, t: m[0].register_full_backward_hook(lambda *_: None), "a hook of layer 0"),
    "the user's hook": (lambda m, x, t: m[0]._forward_hooks.clear(), "a hook of layer 0"),
    "hook on all": (lambda m, x, t: nn.modules.module.register_module_forward_hook(lambda *_: None), "on all modules"),
    "hook on a parameter": (lambda m, x, t: m[0].weight.register_hook(lambda g: g * 2), "a hook on a parameter"),
    "replaced layer": (lambda m, x, t: m.__setitem__(2, nn.Identity()), "the layers of the model"),
    "added layer": (lambda m, x, t: m.append(nn.Softmax(1)), "the layers of the model"),
    "replaced forward": (lambda m, x, t: setattr(m[2], "forward", lambda x: x), "the function forward of layer 2"),
    "another class": (lambda m, x, t: setattr(m[2], "__class__", nn.Identity), "the class of layer 2"),
    "patched class": (patches_relu, "the function forward of ReLU"),
    "patched class, new": (adds_to_conv, "the function __call__ of Conv2d"),
    "patched function": (lambda m, x, t: setattr(nn.functional, "relu", abs), "the function relu of torch.nn.functional"),
    "patched torch": (lambda m, x, t: setattr(torch, "relu", abs), "the function relu of torch"),
}  # fmt: skip


def surroundings() -> list[Any]:
    return [
        torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.get_default_device(), torch.is_autocast_enabled("cpu"), torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled,
        torch.backends.cudnn.deterministic,
    ]  # fmt: skip


def described(model: nn.Module) -> list[Any]:
    """What must be as before, independently of how it is kept."""
    hooks = [len(getattr(m, n)) for m in model.modules() for n in vars(m) if n.endswith("hooks") and getattr(m, n)]
    return [
        [(n, type(m), m.training, m.extra_repr(), "forward" in vars(m)) for n, m in model.named_modules()],
        [(k, v.dtype, v.tolist()) for k, v in model.state_dict().items()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        hooks, len(nn.modules.module._global_forward_hooks), nn.ReLU.forward, nn.Conv2d.__call__,
        nn.functional.relu, torch.relu, model.scale.tolist(), [bool(p._backward_hooks) for p in model.parameters()],
    ]  # fmt: skip


@pytest.mark.parametrize("what", HARMLESS)
def test_what_an_explainer_leaves_behind_is_put_back(what: str) -> None:
    model, x, targets = network(), images(3, 13, 13), torch.tensor([0, 1, 2])
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[5].weight.requires_grad = False
    expected = heatmaps_of(model, x, {"own": gradient, "sensitivity-l2": EXPLAINERS["sensitivity-l2"]}, targets)
    before, around, given = described(model), surroundings(), (x.clone(), targets.clone())
    company = {"own": then_gradient(HARMLESS[what]), "second": gradient, "sensitivity-l2": EXPLAINERS["sensitivity-l2"]}
    found = heatmaps_of(model, x, company, targets, batch_size=3)
    KEPT.clear()
    for name, of in (("own", "own"), ("second", "own"), ("sensitivity-l2", "sensitivity-l2")):
        np.testing.assert_array_equal(found[name], expected[of], err_msg=name)
    # Batches behind the first, too.
    ones = heatmaps_of(model, x, company, targets, batch_size=1)
    KEPT.clear()
    for name in company:
        np.testing.assert_allclose(ones[name], found[name], atol=1e-5 * np.abs(found[name]).max(), err_msg=name)
    assert described(model) == before
    assert surroundings() == around
    torch.testing.assert_close((x, targets), given, rtol=0, atol=0)


@pytest.mark.parametrize("what", REFUSED)
def test_what_changes_the_network_is_refused_by_name_and_undone(what: str) -> None:
    act, said = REFUSED[what]
    model, x = network(), images(2, 13, 13)
    before = described(model)
    with pytest.raises(aopc.InputError, match=r"the explainer 'mine' changed the network .*" + said) as caught:
        heatmaps_of(model, x, {"mine": then_gradient(act)}, [0, 1])
    assert "\n" not in str(caught.value)
    assert described(model) == before


def fails(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
    model.train()
    model[0].weight.data.zero_()
    return {}["no such\nkey"]


def test_an_explainer_that_fails_is_named_with_its_reason_and_undone() -> None:
    model = network()
    before = described(model)
    with pytest.raises(aopc.InputError, match=r"the explainer 'fails' failed: KeyError: 'no such\\nkey'") as caught:
        aopc.heatmaps(model, images(2, 13, 13), fails)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    assert described(model) == before
    with pytest.raises(aopc.InputError, match="failed: SystemExit: 3"):
        aopc.heatmaps(model, images(2, 13, 13), lambda m, x, t: sys.exit(3))
    with pytest.raises(KeyboardInterrupt):
        aopc.heatmaps(model, images(2, 13, 13), lambda m, x, t: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(torch.OutOfMemoryError):
        aopc.heatmaps(model, images(2, 13, 13), lambda m, x, t: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))


ACCEPTED: dict[str, Callable[[Tensor], Any]] = {
    "array": lambda h: h.detach().numpy(),
    "reversed array": lambda h: h.detach().numpy()[::-1][::-1],
    "float64": lambda h: h.double(),
    "half": lambda h: h.half(),
    "bfloat16 array of one channel": lambda h: h.bfloat16()[:, None],
    "with gradient": lambda h: h * nn.Parameter(torch.ones(1)),
    "big-endian": lambda h: h.detach().numpy().astype(">f8"),
    "integers": lambda h: h.mul(1000).round().long(),
    "unsigned": lambda h: h.detach().numpy().astype(np.uint8),
    "booleans": lambda h: h > 0,
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_heatmaps_of_any_real_dtype_become_float32(form: str) -> None:
    x = images(2, 13, 13)
    found = aopc.heatmaps(small_network(), x, lambda m, x, t: ACCEPTED[form](x.sum(1)))
    expected = np.asarray(torch.as_tensor(np.ascontiguousarray(np.asarray(_plain(ACCEPTED[form](x.sum(1)))))))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.reshape(found.shape).astype(np.float32))


def _plain(value: Any) -> Any:
    return value.detach().double().numpy() if isinstance(value, Tensor) else value.astype(np.float64)


WRONG: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "None": (lambda h: None, "it returned NoneType"),
    "list": (lambda h: list(h), "it returned list"),
    "number": (lambda h: 1.0, "it returned float"),
    "tuple": (lambda h: (h, h), "it returned tuple"),
    "complex": (lambda h: h + 0j, "it returned Tensor of torch.complex64"),
    "complex array": (lambda h: h.numpy() + 0j, "it returned ndarray of complex64"),
    "objects": (lambda h: h.numpy().astype(object), "it returned ndarray of object"),
    "texts": (lambda h: h.numpy().astype(str), "it returned ndarray of <U"),
    "masked": (lambda h: np.ma.masked_less(h.numpy(), 0), "it returned MaskedArray"),
    "sparse": (lambda h: h.to_sparse(), "it returned Tensor"),
    "meta": (lambda h: h.to("meta"), "it returned Tensor"),
    "one image": (lambda h: h[0], r"it returned \(13, 13\)"),
    "one too few": (lambda h: h[:1], r"it returned \(1, 13, 13\)"),
    "colours": (lambda h: h[:, None].expand(-1, 3, -1, -1), r"it returned \(2, 3, 13, 13\)"),
    "transposed": (lambda h: h.permute(1, 2, 0), r"it returned \(13, 13, 2\)"),
    "empty": (lambda h: h[:0], r"it returned \(0, 13, 13\)"),
    "NaN": (lambda h: h * torch.nan, "gave NaN or infinite values, .* for images 0, 1"),
    "too large": (lambda h: h.double() * 1e60, "gave NaN or infinite values"),
    "too small": (
        lambda h: h.double() * 1e-60,
        r"or such as are too small for float32 \(all below .*\), for images 0, 1",
    ),
}


@pytest.mark.parametrize("form", WRONG)
def test_what_is_no_heatmap_is_refused_by_name(form: str) -> None:
    make, said = WRONG[form]
    with pytest.raises(aopc.InputError, match="the explainer '<lambda>' .*" + said) as caught:
        aopc.heatmaps(small_network(), images(2, 13, 13), lambda m, x, t: make(x.sum(1)))
    assert "\n" not in str(caught.value)


def test_a_result_that_is_changed_later_is_not_ours() -> None:
    buffer = torch.zeros(1, 13, 13)

    def same_memory(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
        return buffer.copy_(batch.sum(1))

    x = images(3, 13, 13)
    np.testing.assert_array_equal(aopc.heatmaps(small_network(), x, same_memory, batch_size=1), x.sum(1).numpy())


def noise(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
    numbers = torch.rand(len(batch), 13, 13) + torch.from_numpy(np.random.rand(len(batch), 13, 13))
    return numbers + random.random()


def test_what_an_explainer_draws_depends_on_torchs_seed_and_the_images_alone() -> None:
    model, x = small_network(), images(3, 13, 13)
    torch.manual_seed(0)
    first = aopc.heatmaps(model, x, noise)
    torch.rand(7), np.random.rand(7)
    together = heatmaps_of(model, x, {"other": then_gradient(draws), "noise": noise})["noise"]
    np.testing.assert_array_equal(first, together)
    assert (first[0] != aopc.heatmaps(model, x, noise, image_ids=["a", "b", "c"])[0]).all()
    torch.manual_seed(1)
    assert (first != aopc.heatmaps(model, x, noise)).all()


def test_gradients_can_be_taken_wherever_the_caller_is() -> None:
    model = small_network()
    expected = aopc.heatmaps(model, images(2, 13, 13), gradient)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            np.testing.assert_array_equal(aopc.heatmaps(model, images(2, 13, 13), gradient), expected)


def test_explainers_without_names_need_them() -> None:
    x = images(2, 13, 13)
    with pytest.raises(aopc.InputError, match=r"as \{name: function\}"):
        heatmaps_of(small_network(), x, [gradient])
    assert list(heatmaps_of(small_network(), x, "random")) == ["random"]


ALL = [*EXPLAINERS, *FURTHER]


def test_every_explainer_of_ours_gives_in_company_what_it_gives_alone_and_changes_nothing() -> None:
    """In any order, and with one that does all that is harmless before each batch."""
    model, x, targets = small_network(), images(4, 13, 13), torch.tensor([0, 1, 2, 0])
    model.scale = torch.ones(2)
    state, before = NetworkState(model), described(model)
    alone = {name: aopc.heatmaps(model, x, name, targets, batch_size=2) for name in ALL}

    def unruly(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
        for what, act in HARMLESS.items():
            if what not in ("enters inference mode", "sets switches"):
                with torch.enable_grad():
                    act(model, batch.clone(), targets.clone())
        return torch.ones(len(batch), 13, 13)

    for names in (ALL, ALL[::-1]):
        company = {"unruly": unruly} | {name: get_explainer(name) for name in names}
        found = heatmaps_of(model, x, company, targets, batch_size=2)
        KEPT.clear()
        for name in names:
            np.testing.assert_array_equal(found[name], alone[name], err_msg=name)
    assert not state.restore()
    assert described(model) == before


def test_of_many_changes_three_are_named_and_the_others_counted() -> None:
    def changing(count: int) -> Explain:
        def explain(model: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
            for parameter in list(model.parameters())[:count]:
                parameter.data.add_(1)
            return batch.sum(1)

        return explain

    model, x = small_network(), images(1, 13, 13)
    named = "the parameter 0.weight, the parameter 0.bias, the parameter 4.weight"
    for count, said in ((3, rf"\({named}\)"), (4, rf"\({named} and 1 more\)"), (8, rf"\({named} and 5 more\)")):
        with pytest.raises(aopc.InputError, match=said):
            aopc.heatmaps(model, x, changing(count), [0])
