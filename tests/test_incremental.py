"""Incremental inference: equal to full passes on every layer kind, and a fallback where it is not known."""

import copy
import logging
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import aopc
from aopc.models.caffe.networks import Inception, caffenet
from aopc.models.zoo.normalisation import ChannelNorm
from aopc.models.zoo.small_caffenet import small_caffenet
from aopc.perturbation import packed, plan, runners
from aopc.engine.incremental.prepacked import PackedConvolution
from aopc.engine.incremental.plan import plan_network
from aopc.perturbation.partition import Grid
from aopc.engine.choice import Runners
from aopc.engine.settings import Settings
from aopc.engine.incremental.windows import Slide, Spans
from conftest import small_network


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def both(model: nn.Module, x: torch.Tensor, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Logits computed incrementally (whether that pays or not) and by full passes."""
    common = dict(region_size=3, steps=6, repeats=2, batch_size=5, targets=[0] * len(x)) | options
    found = [
        aopc.perturbation_curves(model, x, x.sum(1), incremental=incremental, **common)
        for incremental in (True, False)
    ]
    return found[0].logits, found[1].logits


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Incremental wherever possible: whether it pays is a test of its own."""
    monkeypatch.setattr(runners, "WORTHWHILE", 1e9)
    monkeypatch.setattr(plan, "WORTH_A_TURN", 0)
    monkeypatch.setattr(runners, "_said", set())


def require_incremental(model: nn.Module, x: torch.Tensor, size: int = 3) -> None:
    with torch.inference_mode():
        found = plan_network(model, x[:1], Grid(*x.shape[2:], size), 100)
    assert any(found.variants), "nothing is windowed"


PACK = PackedConvolution._pack


class Residual(nn.Module):
    """Addition of branches with other windows, a strided shortcut, an activation in place."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Conv2d(channels, channels, 1, stride)
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        y += self.shortcut(x)
        return self.last(y)


class Normalised(nn.Module):
    """Normalises its input itself, with buffers, and concatenates before a functional activation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3])[:, None, None])
        self.register_buffer("scale", torch.tensor([1.1, 0.9, 1.3])[None, :, None, None])
        self.near, self.far = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) / self.scale * 2.0
        return functional.relu(torch.cat([self.near(x), self.far(x)], 1)) + 0.5


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 6, 3),
    "padding": lambda: nn.Conv2d(3, 6, 5, padding=2),
    "stride": lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1),
    "stride above kernel": lambda: nn.Conv2d(3, 6, 2, stride=3),
    "dilation": lambda: nn.Conv2d(3, 6, 3, padding=2, dilation=2),
    "groups": lambda: nn.Conv2d(3, 6, 3, padding=1, groups=3),
    "unequal axes": lambda: nn.Conv2d(3, 6, (3, 1), stride=(1, 2), padding=(1, 0)),
    "1 × 1": lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 3)),
    "max-pooling": lambda: nn.MaxPool2d(3, 2),
    "ceil mode": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "padded max-pooling": lambda: nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
    "pooling and convolution of one map": lambda: Inception(3, 4, (3, 5), (2, 4), 3),
    "average pooling": lambda: nn.AvgPool2d(2, 2, padding=1),
    "average without its padding": lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average with ceil mode": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
    "LRN": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(3, 0.5)),
    "LRN as a product": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), ChannelNorm(5, 0.3)),
    "batch norm": lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.GELU()),
    "residual": lambda: nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), Residual(6, 1), Residual(6, 2)),
    "concatenation": Normalised,
    "unknown layer": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.InstanceNorm2d(6), nn.Conv2d(6, 4, 3)
    ),
    "reflecting padding": lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
    "padding by name": lambda: nn.Conv2d(3, 6, 3, padding="same"),
}


def network_with(layer: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), layer, nn.ReLU())
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.LazyLinear(4)).eval()


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=6, deadline=None)
@given(
    shape=st.tuples(st.integers(12, 40), st.integers(12, 40)),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**20),
)
def test_equals_full_passes(name: str, shape: tuple[int, int], size: int, seed: int) -> None:
    """On every layer kind, for images and regions that do not divide each other."""
    x = images(2, *shape, seed)
    model = network_with(LAYERS[name](), seed)
    with torch.no_grad():
        model(x)  # the lazy layer takes its size
    steps = min(9, Grid(*shape, size).count)
    found, expected = both(model, x, region_size=size, steps=steps, seed=seed)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    if min(shape) > 30 and size < 3:
        require_incremental(model, x, size)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "densenet121", "googlenet"])
def test_equals_full_passes_on_torchvision_networks(name: str) -> None:
    from torchvision import models

    torch.manual_seed(0)
    weights = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    model = models.get_model(name, weights=None, num_classes=5, **weights).eval()
    x = images(1, 96, 96)
    require_incremental(model, x, 8)
    found, expected = both(model, x, region_size=8, steps=4, repeats=1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=3e-5)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 3),
    widths=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    sizes=st.lists(
        st.tuples(st.integers(1, 9), st.integers(5, 9), st.integers(5, 9)), min_size=2, max_size=3
    ),
)
def test_packed_convolutions_are_convolutions(
    groups: int,
    widths: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    dilation: int,
    bias: bool,
    layout: torch.memory_format,
    sizes: list[tuple[int, int, int]],
) -> None:
    """The same weights on windows of several sizes, in all precisions; float64 is the reference."""
    inputs, outputs = (groups * n for n in widths)
    torch.manual_seed(inputs)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, 0, dilation, groups=groups, bias=bias).to(
        memory_format=layout
    )
    of_packed = PackedConvolution(layer)
    exact = PackedConvolution(copy.deepcopy(layer).double())
    with torch.inference_mode():
        for count, height, width in sizes:
            x = torch.randn(count, height, width, inputs).permute(0, 3, 1, 2)
            expected = exact(x.double())
            assert expected.dtype == torch.float64
            found = of_packed(x)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                found = of_packed(x)
            assert found.dtype == torch.bfloat16
            torch.testing.assert_close(found.double(), expected, rtol=5e-2, atol=5e-2)


def test_convolutions_are_packed_where_torch_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one by one in vain, and the ordinary way gives the same."""
    model, x = small_network().eval(), images(2, 13, 13)
    packs = []
    monkeypatch.setattr(
        PackedConvolution, "_pack", lambda s, *a: packs.append(s) or PACK(s, *a), raising=True
    )
    found, _ = both(model, x)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert len(packs) == len(set(packs))
    assert 0 < len(packs) <= convolutions
    monkeypatch.setattr(packed, "_PACKS", False)
    ordinary, full = both(model, x)
    assert len(packs) <= convolutions
    np.testing.assert_allclose(found, ordinary, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ordinary, full, rtol=1e-5, atol=1e-5)


def test_where_the_processor_refuses_packed_weights_the_ordinary_convolution_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in bfloat16 on processors that lack it; but memory that runs out is no such refusal."""
    asked = []

    def refuse(*args: object) -> None:
        asked.append(args)
        raise RuntimeError("needs the cpu support avx512bw")

    monkeypatch.setattr(PackedConvolution, "_pack", refuse)
    layer, x = nn.Conv2d(3, 4, 3), images(2, 7, 7)
    convolution = PackedConvolution(layer)
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(convolution(x), layer(x), rtol=0, atol=0)
    assert len(asked) == 1

    def exhaust(*args: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(PackedConvolution, "_pack", exhaust)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="allocate"):
        PackedConvolution(layer)(x)


@pytest.mark.parametrize("order", ["morf", "lerf", "random"])
def test_all_steps_to_the_last_and_both_outputs_in_float64(order: str) -> None:
    """Down to the image without an original pixel, cut-off regions included, to 10⁻⁶."""
    model, x = small_network().double(), images(3, 13, 13).double()
    common = dict(region_size=3, steps=25, repeats=2, order=order, orders_per_image=4)
    one = aopc.perturbation_curves(model, x, x.sum(1), **common, batch_size=4)
    other = aopc.perturbation_curves(model, x, x.sum(1), **common, incremental=False)
    np.testing.assert_allclose(one.logits, other.logits, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=2e-6, atol=1e-7)


def test_small_caffenet_with_dropout_active_is_the_same() -> None:
    torch.manual_seed(0)
    model, x = small_caffenet(classes=5, width=8).eval(), images(3, 64, 64)
    require_incremental(model, x)
    found, expected = both(model, x, dropout_seed=3, region_size=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - both(model, x, region_size=4)[0]).max() > 1e-4


def test_dropout_between_maps_is_full_while_active() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 3),
    ).eval()  # fmt: skip
    x = images(2, 20, 20)
    found, expected = both(model, x, dropout_seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(
    length=st.integers(5, 60), size=st.integers(1, 9), kernel=st.integers(1, 7),
    stride=st.integers(1, 4), padding=st.integers(0, 3), dilation=st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_spans_hold_exactly_what_changes(
    length: int, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    """Against a convolution with ones: an output changes exactly where its inputs do."""
    slide = Slide(kernel, stride, padding, dilation)
    if length + 2 * padding < slide.extent or size > length:
        return
    outputs = (length + 2 * padding - slide.extent) // stride + 1
    before = Spans.of_regions(length, size)
    after = before.through(slide, outputs)
    for low, high, first, last in zip(before.low, before.high, after.low, after.high, strict=True):
        x = torch.zeros(1, 1, length)
        x[..., low:high] = 1
        y = functional.conv1d(x, torch.ones(1, 1, kernel), None, stride, padding, dilation)[0, 0]
        changed = y.nonzero()[:, 0].tolist()
        # With a dilation, outputs between those that read the change may not read it.
        if changed:
            assert first <= changed[0]
            assert changed[-1] < last
            if dilation == 1:
                assert (first, last) == (changed[0], changed[-1] + 1)
        assert 0 <= first <= last <= outputs
    starts = after.starts
    assert (starts <= after.low).all()
    assert (starts + after.size >= after.high).all()
    assert (starts + after.size <= outputs).all()


def test_caffenets_step_costs_what_was_calculated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The design's figure counts windows at their mean size, 0.20; ours have one size a class."""
    monkeypatch.undo()
    torch.manual_seed(0)
    model = caffenet().eval()
    with torch.inference_mode():
        plans = [
            plan_network(model, torch.zeros(1, 3, 227, 227), Grid(227, 227, 9), count)
            for count in (1, 100)
        ]
    assert plans[0].work.macs == pytest.approx(0.72e9, rel=0.05)
    assert 0.20 < plans[1].ratio < 0.27 < plans[0].ratio < 0.33
    assert [len(p.variants) for p in plans] == [1, 4]


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        if y.mean() > 1e9:
            y = y * 2
        return self.head(y.mean((2, 3)))


class Centred(nn.Module):
    """Its activation is a subclass of ReLU that reads the whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.tap = Tap()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.tap(self.first(x)).mean((2, 3)))


class Tap(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean((2, 3), keepdim=True) * 0.5


def test_untraceable_networks_are_computed_in_full_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    model, x = Branches().eval(), images(2, 16, 16)
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
        both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (record,) = caplog.records
    assert "cannot be traced" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_layer_of_a_known_kind_that_was_changed_is_not_taken_for_it() -> None:
    torch.manual_seed(0)
    model, x = Centred().eval(), images(2, 24, 24)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_wrong_plan_is_noticed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first results are compared with the model's own full pass."""
    monkeypatch.setattr(Spans, "through", lambda self, slide, length: _half(self, length))
    model, x = small_network(), images(2, 13, 13)
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "off" in caplog.text


def _half(spans: Spans, length: int) -> Spans:
    low = np.clip(spans.low // 2, 0, length - 1)
    return Spans(low, low + 1, length)


def test_hooks_of_the_user_run_on_whole_maps() -> None:
    torch.manual_seed(0)
    model, x = small_network(), images(2, 13, 13)
    model[1].register_forward_hook(
        lambda module, inputs, output: output - output.mean((2, 3), keepdim=True)
    )
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    model.register_forward_hook(lambda module, inputs, output: 2 * output)
    again, expected = both(model, x)
    np.testing.assert_allclose(again, expected, atol=1e-5)
    np.testing.assert_allclose(again, 2 * found, rtol=1e-4, atol=1e-5)


def test_the_model_is_not_touched() -> None:
    model, x = small_network().train(), images(2, 13, 13)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    names = [(n, id(m)) for n, m in model.named_modules()]
    aopc.perturbation_curves(model, x, x.sum(1), region_size=3, steps=3, repeats=2)
    assert model.training
    assert names == [(n, id(m)) for n, m in model.named_modules()]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("incremental", [True, False])
def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(
    incremental: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Narrow(nn.Linear):
        largest = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            Narrow.largest = max(Narrow.largest, len(x))
            return super().forward(x)

    torch.manual_seed(0)
    model, x = small_network(), images(7, 13, 13)
    options = dict(region_size=3, steps=4, repeats=3, incremental=incremental)
    expected = aopc.perturbation_curves(model, x, x.sum(1), [0] * 7, **options)
    narrow = Narrow(16, 3)
    narrow.load_state_dict(model[9].state_dict())
    model[9] = narrow
    told: list[float] = []
    with caplog.at_level(logging.WARNING, "aopc"):
        found = aopc.perturbation_curves(
            model, x, x.sum(1), [0] * 7, **options, batch_size=13, progress=told.append
        )
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-6)
    assert Narrow.largest == 3
    assert sum(told) == 7
    assert "memory ran out" in caplog.text


def test_other_errors_are_not_taken_for_missing_memory() -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        aopc.perturbation_curves(
            Fails(), images(1, 8, 8), images(1, 8, 8).sum(1), [0], region_size=2, steps=2
        )


def test_curves_of_a_ranking_do_not_depend_on_the_others() -> None:
    """To the bit: a run that is taken up again computes what is missing only."""
    from aopc.engine.curves import Ranking, ranked_curves

    torch.manual_seed(0)
    model, x, ids = small_caffenet(classes=5, width=8).eval(), images(5, 64, 64), list("abcde")
    grid = Grid(64, 64, 4)
    rankings = {
        "heatmap": Ranking.of_heatmaps(grid, x.sum(1), "morf", ids, 0),
        "other": Ranking.of_heatmaps(grid, -x[:, 0], "morf", ids, 0),
        "random": Ranking.at_random(grid, ids, 4, 2, 0),
    }
    settings = Settings(grid, steps=5, repeats=2)
    together = ranked_curves(model, x, rankings, None, settings, ids)
    for name, ranking in rankings.items():
        alone = ranked_curves(model, x, {name: ranking}, None, settings, ids)[name]
        np.testing.assert_array_equal(alone.logits, together[name].logits)
        np.testing.assert_array_equal(alone.probabilities, together[name].probabilities)


def test_full_passes_are_used_where_a_step_costs_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def plans(model: nn.Module, side: int, size: int, count: int) -> bool:
        with torch.inference_mode():
            chosen = Runners(
                model.eval(), images(1, side, side), Settings(Grid(side, side, size), 4, 1), count
            )
        return chosen.plan is not None

    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))  # fmt: skip
    assert plans(wide, 40, 3, 100)
    assert not plans(wide, 12, 11, 100)
    heavy = nn.Sequential(wide[:3], nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(512, 5000), nn.Linear(5000, 500))  # fmt: skip
    assert plans(heavy, 160, 3, 1000)
    assert not plans(heavy, 160, 3, 1)


def test_arithmetic() -> None:
    """bfloat16 is near float32 and not equal to it; TF32 is float32 on a CPU; the setting comes back."""
    torch.manual_seed(0)
    model, x = small_caffenet(classes=5, width=8).eval(), images(2, 64, 64)
    common = dict(region_size=4, steps=5, repeats=1, targets=[0, 1])
    exact, tf32, rough, full = (
        aopc.perturbation_curves(model, x, x.sum(1), **common, **options).logits
        for options in (
            {},
            {"arithmetic": "tf32"},
            {"arithmetic": "bfloat16"},
            {"arithmetic": "bfloat16", "incremental": False},
        )
    )
    np.testing.assert_array_equal(exact, tf32)
    scale = np.abs(exact).max()
    assert 0 < np.abs(rough - exact).max() < 0.05 * scale
    np.testing.assert_allclose(rough, full, atol=0.02 * scale)
    with pytest.raises(aopc.InputError, match=r"unknown arithmetic 'float23'.*did you mean"):
        aopc.perturbation_curves(model, x, x.sum(1), **common, arithmetic="float23")


def test_steps_are_those_of_one_trajectory() -> None:
    """Step k of a longer run is step k of a shorter one."""
    model, x = small_network(), images(1, 13, 13)
    lengths = [3, 9, 25]
    curves = [
        aopc.perturbation_curves(model, x, x.sum(1), [0], region_size=3, steps=n, repeats=2).logits
        for n in lengths
    ]
    for short, long in pairwise(curves):
        np.testing.assert_allclose(short, long[:, :, : short.shape[2]], atol=1e-6)


def test_networks_that_flatten_with_view_are_incremental_too() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.head = (
                nn.Conv2d(3, 4, 3, padding=1),
                nn.MaxPool2d(2),
                nn.Linear(256, 3),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.pool(self.conv(x).relu())
            return self.head(x.view(x.size(0), -1))

    torch.manual_seed(0)
    model, x = Views().eval(), images(2, 16, 16)
    require_incremental(model, x)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class Aliased(nn.Module):
    """Adds a map that an activation has changed in place meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.conv, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.conv(self.relu(x))
        return self.head((x + y).mean((2, 3)))


def test_maps_changed_in_place_behind_the_back_of_others_are_not_windowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    model, x = Aliased().eval(), images(2, 24, 24)
    model.head.bias.data[2] += 15  # hides the error from a check against the largest score
    with caplog.at_level(logging.WARNING, "aopc"):
        found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "changes in place" in caplog.text


def test_a_model_that_changes_its_input_leaves_the_users_images_alone() -> None:
    class Changes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x.sub_(0.5).div_(0.25)
            return self.head(self.conv(x).relu().mean((2, 3)))

    torch.manual_seed(0)
    model, x = Changes().eval(), images(2, 16, 16)
    before = x.clone()
    with torch.no_grad():
        first = model(x.clone())
    curves = aopc.perturbation_curves(model, x, x.sum(1), region_size=3, steps=4, repeats=2)
    assert torch.equal(x, before)
    np.testing.assert_allclose(curves.logits[:, 0, 0], first.amax(1), atol=1e-5)
    found, expected = both(model, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_layers_that_are_never_called_do_no_harm() -> None:
    model, x = small_network(), images(2, 13, 13)
    model.spare = nn.Dropout(0.5)
    model.forward = lambda x: nn.Sequential.forward(model[:10], x)
    found, expected = both(model, x, dropout_seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_outputs_of_another_shape_are_said_with_targets_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()
    with pytest.raises(
        aopc.InputError, match=r"must return class scores of shape \(batch, classes\)"
    ):
        aopc.perturbation_curves(
            model, images(1, 20, 20), images(1, 20, 20).sum(1), [0], region_size=3, steps=2
        )
