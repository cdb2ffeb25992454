"""Scores that depend on what else is in a batch are refused, or images go one at a time; other networks pass."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import aopc
from aopc.base import notices
from aopc.models.inference import images_share_a_batch, predict
from conftest import images, small_network


class Net(nn.Module):
    """Some layers, and something done to the images first."""

    def __init__(self, first: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.calls = first, 0
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 100, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layers(self.first(x))


DEPENDENT: dict[str, Callable[[Tensor], Tensor]] = {
    "centred": lambda x: x - x.mean(0),
    "standardised": lambda x: (x - x.mean()) / x.std(),
    "slightly": lambda x: x + 1e-5 * x.sum(0, keepdim=True),
    "batch norm": nn.BatchNorm2d(3, track_running_stats=False),
    "selected": lambda x: torch.where(x.mean() > 0.5, 2 * x, x),
    "sorted": lambda x: x.sort(0).values,
    "scaled": lambda x: x / x.abs().max(),
    "quantised": lambda x: (x / x.abs().max() * 127).round(),
    "the row before": lambda x: x.roll(1, 0),
    "cumulative": lambda x: x.cumsum(0),
    "attention": lambda x: torch.einsum("bc,bchw->chw", x.mean((2, 3)).softmax(0), x)[None] + x,
    "number of images": lambda x: x * (1 if len(x) == 1 else 1.5),
    "the first row": lambda x: x + 0.1 * x[:1].expand_as(x),
    "places from the third on": lambda x: x * (1 + (torch.arange(len(x)) > 1))[:, None, None, None],
    "how many are the same": lambda x: x * (x[:, None] == x[None]).flatten(2).all(2).sum(1)[:, None, None, None],
    "pairs of three": lambda x: x - x.mean(0) if len(x) > 2 else x,
    "number of values": lambda x: x + x.numel() / 1000,
}
READING: dict[str, Callable[[Tensor], Tensor]] = {
    "branch": lambda x: 2 * x if x.mean() > 0.5 else x,
    "number": lambda x: x * x.max().item(),
    "numpy": lambda x: x * float(np.asarray(x.detach()).max()),
    "list": lambda x: x * max(x.flatten().tolist()),
    "count": lambda x: x * (x > 0.5).nonzero().shape[0],
    "mask": lambda x: x * x[x > 0.5].numel(),
    "text": lambda x: x * (1 + len(repr(x)) % 5),
}


@pytest.mark.parametrize("kind", DEPENDENT)
def test_scores_that_depend_on_the_batch_are_refused_everywhere(kind: str) -> None:
    model, x = Net(DEPENDENT[kind]).eval(), images(3, 12, 12)
    for use in (
        lambda: predict(model, x),
        lambda: aopc.heatmaps(model, x, "sensitivity-l2", [0] * 3),
        lambda: aopc.perturbation_curves(model, x, x.sum(1), [0] * 3, region_size=3, steps=3, repeats=1),
    ):
        with pytest.raises(aopc.InputError, match="depend on the other images in its batch") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", READING)
def test_a_forward_that_looks_at_values_is_a_function_of_one_image(kind: str) -> None:
    model, x = Net(READING[kind]).eval(), torch.rand(5, 3, 12, 12)
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in x]).numpy()
    np.testing.assert_allclose(predict(model, x), alone, rtol=1e-6, atol=1e-6)
    common = dict(region_size=3, steps=3, repeats=2, value_range=(0, 1))
    curves = [
        aopc.perturbation_curves(model, x, x.sum(1), [0] * 5, batch_size=size, **common).logits for size in (1, 4, None)
    ]
    np.testing.assert_allclose(curves[0][:, 0, 0], alone[:, 0], rtol=1e-6, atol=1e-6)
    for other in curves[1:]:
        np.testing.assert_allclose(other, curves[0], rtol=1e-6, atol=1e-6)


#: By name: what makes more of a batch than of two or three images.
LARGER: dict[str, Callable[[Tensor], Tensor]] = {
    "more than three": lambda x: 2 * x if len(x) > 3 else x,
    "a row": lambda x: x * (1 + (torch.arange(len(x)) > 3))[:, None, None, None],
}


@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize("kind", LARGER)
def test_what_happens_in_larger_batches_only_is_noticed_there(kind: str, incremental: bool) -> None:
    model, x = Net(LARGER[kind]).eval(), images(3, 12, 12)

    def curves(size: int | None) -> aopc.Curves:
        common = dict(region_size=3, steps=6, repeats=2, incremental=incremental, batch_size=size)
        return aopc.perturbation_curves(model, x, x.sum(1), [0] * 3, **common)

    for size in (None, 5):
        with pytest.raises(aopc.InputError, match="other images in its batch: they change in a batch of"):
            curves(size)
    with torch.no_grad():
        expected = torch.cat([model(image[None]) for image in x])[:, 0]
    np.testing.assert_allclose(curves(1).logits[:, 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_scores_that_change_after_many_calls_are_noticed_at_the_end() -> None:
    calls: list[int] = []

    def later(x: Tensor) -> Tensor:
        calls.append(1)
        return x * (1 + (len(calls) > 150))

    model, x = Net(later).eval(), images(2, 12, 12)
    with pytest.raises(aopc.InputError, match="differ from call to call"):
        aopc.perturbation_curves(model, x, x.sum(1), [0, 0], region_size=3, steps=16, repeats=4, batch_size=1)


def test_a_look_at_addresses_is_no_function_of_an_image() -> None:
    kept: list[Tensor] = []  # so that memory is not the same in each pass
    net = Net(lambda x: (kept.append(x * 1), x * (1 + kept[-1].data_ptr() // 64 % 7))[1])
    with pytest.raises(aopc.InputError, match="differ from call to call"):
        predict(net.eval(), images(2, 12, 12))


def test_random_numbers_that_changed_no_score_are_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_said", set())
    predict(Net(lambda x: x * (2 if random.random() < 0 else 1)).eval(), images(2, 12, 12))
    assert "draws random numbers, by random; they changed no score in 8 passes" in caplog.text


@pytest.mark.parametrize("first", [lambda x: x + torch.rand_like(x), functional.dropout, lambda x: x * random.random()])
def test_scores_that_change_from_call_to_call_are_refused(first: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(aopc.InputError, match="differ from call to call"):
        predict(Net(first).eval(), images(2, 12, 12))


def test_a_state_that_changes_scores_is_refused_and_one_that_does_not_is_left_alone() -> None:
    model, x = Net(lambda x: x).eval(), images(2, 12, 12)
    predict(model, x)
    assert model.calls == 1  # tried out on a copy
    model.first = lambda x: x * model.calls  # a closure, which no copy reaches
    predict(model, x)

    class Counts(Net):
        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.layers(x * self.calls)

    with pytest.raises(aopc.InputError, match="differ from call to call"):
        predict(Counts(nn.Identity()).eval(), x)


def no_nan(x: Tensor) -> Tensor:
    assert not x.isnan().any()
    return x


LEGAL: dict[str, Callable[[], nn.Module]] = {
    "small network": lambda: small_network(lrn=False),
    "instance norm": lambda: Net(nn.InstanceNorm2d(3)),
    "refuses NaN": lambda: Net(no_nan),
    "hard limits": lambda: Net(lambda x: x.clamp(0, 1).nan_to_num()),
    "draws in vain": lambda: Net(lambda x: x + 0 * torch.rand_like(x)),
    "own rows": lambda: Net(lambda x: x / x.amax((1, 2, 3), keepdim=True)),
    "changes its input": lambda: Net(lambda x: x.sub_(0.5)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", LEGAL)
def test_networks_that_compute_each_image_by_itself_are_not_refused(kind: str, dtype: torch.dtype) -> None:
    size = 13 if kind == "small network" else 12
    model, x = LEGAL[kind]().to(dtype).eval(), images(1, size, size).to(dtype)
    assert images_share_a_batch(model, x) == (kind != "refuses NaN")


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5"]
)
def test_torchvision_networks_are_not_refused(name: str) -> None:
    from torchvision import models

    torch.manual_seed(0)
    assert images_share_a_batch(models.get_model(name, weights=None, num_classes=5).eval(), images(1, 64, 64))


def test_it_is_tried_once_a_network_and_leaves_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    model, x = small_network(), images(2, 13, 13)
    monkeypatch.setattr(nn.Conv2d, "_conv_forward", _counting(nn.Conv2d._conv_forward, passes))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    predict(model, x)
    tried = len(passes)
    predict(model, x)
    assert len(passes) - tried == 2 < tried
    assert torch.equal(torch.get_rng_state(), before)
    model.append(nn.Identity())  # another network
    predict(model, x)
    assert len(passes) - tried > 4


def _counting(function: Callable[..., Tensor], calls: list[int]) -> Callable[..., Tensor]:
    def counted(*args: object) -> Tensor:
        calls.append(1)
        return function(*args)

    return counted
