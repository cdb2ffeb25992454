"""Networks at random for curves: layers with odd geometry, and all that Python can do between them."""

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from aopc.models.zoo.normalisation import ChannelNorm

Draw = Callable[[Any], Any]


class Does(nn.Module):
    """A function of the map, with buffers or layers of its own."""

    def __init__(self, compute: Callable[..., Tensor], *layers: nn.Module, **buffers: Tensor) -> None:
        super().__init__()
        self.compute, self.layers = compute, nn.ModuleList(layers)
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


class Scaled(nn.Conv2d):
    """A convolution with a forward pass of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x.shape[-1] - x.mean()


class Last(nn.Module):
    """From any map to scores."""

    def __init__(self, body: nn.Module, places: int, views: bool, classes: int = 3) -> None:
        super().__init__()
        self.body, self.pool, self.views = body, nn.AdaptiveAvgPool2d(places), views
        self.head = nn.LazyLinear(classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.body(x))
        return self.head(y.view(y.size(0), -1) if self.views else y.flatten(1))


def _pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def _convolution(draw: Draw, channels: int, kind: type[nn.Conv2d] = nn.Conv2d, **more: Any) -> nn.Conv2d:
    groups = draw(st.sampled_from([g for g in (1, 2, 3, 4) if channels % g == 0] + [channels]))
    kernel, dilation = draw(_pairs(1, 4)), draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 2)]))
    padding = tuple(draw(st.integers(0, n)) for n in kernel)
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (2, 1), (3, 1), (1, 3)]))
    geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups} | more
    return kind(channels, groups * draw(st.integers(1, 3)), kernel, bias=draw(st.booleans()), **geometry)


def _circular(draw: Draw, channels: int) -> nn.Module:
    layer = nn.Conv2d(channels, 4, 3, padding=1)

    def tiled(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(functional.pad(x, (1,) * 4, mode="circular"), weight, bias)

    layer._conv_forward = types.MethodType(tiled, layer)
    return layer


def _overridden(draw: Draw, channels: int) -> nn.Module:
    layer = draw(st.sampled_from([nn.ReLU(), nn.Identity(), nn.Dropout(0.5)]))
    layer.forward = draw(st.sampled_from([lambda x: x - x.mean((2, 3), keepdim=True), lambda x: x.flip(2), torch.abs]))
    return layer


def _hooked(draw: Draw, channels: int) -> nn.Module:
    layer = draw(st.sampled_from([nn.ReLU(), nn.Sequential(nn.ReLU()), nn.Conv2d(channels, 4, 1)]))
    layer.register_forward_hook(lambda m, i, o: o - o.mean((2, 3), keepdim=True))
    return layer


def _pooled(draw: Draw, channels: int) -> nn.Module:
    kernel, ceil = draw(_pairs(1, 3)), draw(st.booleans())
    padding = tuple(draw(st.integers(0, n // 2)) for n in kernel)
    if draw(st.booleans()):
        return nn.MaxPool2d(kernel, draw(st.integers(1, 3)), padding, draw(st.integers(1, 2)), ceil_mode=ceil)
    return nn.AvgPool2d(kernel, draw(st.integers(1, 3)), padding, ceil, draw(st.booleans()))


def _normalised(draw: Draw, channels: int) -> nn.Module:
    layer = draw(
        st.sampled_from([
            nn.BatchNorm2d(channels), nn.LocalResponseNorm(3, 0.5), ChannelNorm(5, 0.3), nn.GroupNorm(1, channels),
            nn.InstanceNorm2d(channels),
        ])
    )  # fmt: skip
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.running_mean)
        nn.init.uniform_(layer.running_var, 0.5, 2)
    return layer


_ACTIVATIONS: list[Callable[[], nn.Module]] = [
    nn.ReLU, lambda: nn.ReLU(inplace=True), nn.GELU, lambda: nn.ELU(inplace=True), nn.SiLU, nn.Hardswish, nn.Tanh,
    lambda: nn.Hardtanh(inplace=True), nn.Softplus, nn.PReLU, lambda: nn.LeakyReLU(0.1), nn.LogSigmoid, nn.Softsign,
    lambda: Does(lambda m, x: functional.relu(x, inplace=True)), lambda: Does(lambda m, x: x.relu_()),
    lambda: Does(lambda m, x: x.clamp(min=0)), lambda: Does(lambda m, x: x.clamp_(max=1)),
    lambda: Does(lambda m, x: torch.where(x > 0, x, 0.1 * x)), lambda: Does(lambda m, x: functional.softmax(x, 1)),
    lambda: Does(lambda m, x: functional.dropout(x, 0.5, m.training)), nn.Identity, nn.Dropout2d,
]  # fmt: skip


def _residual(m: Does, x: Tensor) -> Tensor:
    y = m.layers[0](x)
    y += x
    return y


def _late(m: Does, x: Tensor) -> Tensor:
    y = m.layers[0](x)
    z = m.layers[1](y)
    y.relu_()
    return z + y


def _counted(m: Does, x: Tensor) -> Tensor:
    m.calls += 1
    return 2 * x


def _positions(m: Does, x: Tensor) -> Tensor:
    return x + torch.arange(x.shape[-1], dtype=x.dtype)


def _masked(m: Does, x: Tensor) -> Tensor:
    y = x * 1
    y.mul_((torch.arange(x.shape[-1]) > 2).to(x.dtype))
    return y


def _filled(m: Does, x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y.copy_(x)
    return y.sub_(0.5)


def _written_through(m: Does, x: Tensor) -> Tensor:
    y = x * 1
    y[:, :, ::2].relu_()
    y.transpose(2, 3)[:, :, 0] = 0
    return y


def _guarded(m: Does, x: Tensor) -> Tensor:
    if isinstance(x, Tensor) and float(x.detach().numpy().max()) > 3:
        return x / 9
    return x


def _branched(m: Does, x: Tensor) -> Tensor:
    return x / 9 if x.max() > 3 else x


def _listed(m: Does, x: Tensor) -> Tensor:
    return x * (1 + max(x.amax((1, 2, 3)).tolist()))


def _same_rows(m: Does, x: Tensor) -> Tensor:
    equal = (x[:, None] == x[None]).flatten(2).all(2).sum(1)
    return x * equal[:, None, None, None].to(x.dtype)


def _same(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3, padding=1)


#: By name: what a step may be, given how to draw and the channels of its input.
PLAIN: dict[str, Callable[[Draw, int], nn.Module]] = {
    "convolution": _convolution,
    "padding by name": lambda d, c: nn.Conv2d(c, 4, d(_pairs(1, 4)), padding="same"),
    "other padding": lambda d, c: nn.Conv2d(c, 4, 3, padding=1, padding_mode=d(st.sampled_from(["reflect", "circular"]))),
    "transposed": lambda d, c: nn.ConvTranspose2d(c, 3, 2, 2),
    "parametrised": lambda d, c: parametrizations.weight_norm(nn.Conv2d(c, 4, 3, padding=1)),
    "pooling": _pooled,
    "norm": _normalised,
    "activation": lambda d, c: d(st.sampled_from(_ACTIVATIONS))(),
    "residual": lambda d, c: Does(_residual, _same(c)),
    "residual of an activation": lambda d, c: Does(lambda m, x: x + m.layers[0](x), _same(c)),
    "used twice": lambda d, c: Does(lambda m, x: m.layers[0](torch.relu(m.layers[0](x))), _same(c)),
    "branches": lambda d, c: Does(
        lambda m, x: torch.cat([layer(x) for layer in m.layers], 1), _same(c), nn.Conv2d(c, 2, 5, padding=2),
        nn.MaxPool2d(3, 1, 1),
    ),
    "chunks": lambda d, c: Does(lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "gate": lambda d, c: Does(lambda m, x: x * x.mean((2, 3), keepdim=True).sigmoid()),
    "slice": lambda d, c: Does(lambda m, x: x[:, :, 1:, :-1] if min(x.shape[2:]) > 2 else x),
    "shift": lambda d, c: Does(lambda m, x: x.roll(1, 3) - x.flip(2)),
    "upsampling": lambda d, c: nn.Upsample(scale_factor=2),
    "positions": lambda d, c: Does(_positions),
    "constant": lambda d, c: Does(lambda m, x: (x - m.mean) / m.std, mean=torch.randn(c, 1, 1), std=torch.rand(c, 1, 1) + 0.5),
    "in place": lambda d, c: Does(_masked),
    "filled": lambda d, c: Does(_filled),
    "in place late": lambda d, c: Does(_late, _same(c), _same(c)),
    "patched": _circular,
    "overridden": _overridden,
    "hooked": _hooked,
    "counter": lambda d, c: Does(_counted),
    "scripted": lambda d, c: torch.jit.script(nn.Sequential(nn.Conv2d(c, 4, 3, padding=1), nn.ReLU())),
    "compiled": lambda d, c: torch.compile(nn.Conv2d(c, 4, 3, padding=1), backend="eager"),
    "memory": lambda d, c: Does(lambda m, x: 2 * x if x.is_contiguous() else x),
    "gathered": lambda d, c: Does(lambda m, x: x[:, :, torch.arange(x.shape[2] - 1, -1, -1)]),
    "written through": lambda d, c: Does(_written_through),
    "given": lambda d, c: Does(lambda m, x: torch.cumsum(x, 3, out=torch.empty_like(x))),
    "mode": lambda d, c: Does(lambda m, x: 2 * x if torch.is_inference_mode_enabled() else x),
}  # fmt: skip
#: Those that look at values: images go one at a time.
READING: dict[str, Callable[[Draw, int], nn.Module]] = {
    "branch": lambda d, c: Does(_branched),
    "guarded branch": lambda d, c: Does(_guarded),
    "list": lambda d, c: Does(_listed),
    "mask": lambda d, c: Does(lambda m, x: x * (1 + x[x > 1].numel() / 100)),
}
#: Those that no curves can be made of.
REFUSED: dict[str, Callable[[Draw, int], nn.Module]] = {
    "centred over the batch": lambda d, c: Does(lambda m, x: x - x.mean(0)),
    "batch statistics": lambda d, c: nn.BatchNorm2d(c, track_running_stats=False),
    "chosen for the batch": lambda d, c: Does(lambda m, x: torch.where(x.mean() > 0.2, 2 * x, x)),
    "subclass": lambda d, c: Scaled(c, 4, 3, padding=1),
    "sorted": lambda d, c: Does(lambda m, x: x.sort(0).values),
    "batch size": lambda d, c: Does(lambda m, x: x * len(x)),
    "larger batch": lambda d, c: Does(lambda m, x: x * 2 if len(x) > 3 else x),
    "place": lambda d, c: Does(lambda m, x: x * (1 + (torch.arange(len(x)) > 2))[:, None, None, None]),
    "first row": lambda d, c: Does(lambda m, x: x + 0.2 * x[:1]),
    "same rows": lambda d, c: Does(_same_rows),
    "attention over the batch": lambda d, c: Does(lambda m, x: torch.einsum("bchw,dchw->dchw", x, x)),
    "noise": lambda d, c: Does(lambda m, x: x + torch.rand_like(x)),
    "dropout": lambda d, c: Does(lambda m, x: functional.dropout(x, 0.5)),
}


@dataclass
class Described:
    """A network, its images (3, C, H, W), and by which steps it was made."""

    model: nn.Module
    images: Tensor
    steps: list[str]
    region: int

    def __repr__(self) -> str:
        return f"{self.steps} on {tuple(self.images.shape)} {self.images.dtype}, regions of {self.region}: {self.model}"


@st.composite
def networks(draw: Draw, odd: dict[str, Callable[[Draw, int], nn.Module]] | None = None) -> Described:
    """A network of plain steps, and one of the ``odd`` ones among them."""
    torch.manual_seed(draw(st.integers(0, 2**20)))
    channels, height, width = draw(st.integers(1, 3)), draw(st.integers(7, 24)), draw(st.integers(7, 24))
    # The first image has small values, so it does not show what large ones do.
    images = torch.rand(3, channels, height, width) * torch.tensor([1.0, 9.0, 5.0])[:, None, None, None]
    names = draw(st.lists(st.sampled_from(sorted(PLAIN)), min_size=1, max_size=6))
    if draw(st.booleans()):
        names = ["convolution", *names]
    place = draw(st.integers(0, len(names))) if odd else -1
    if odd:
        names.insert(place, draw(st.sampled_from(sorted(odd))))
    layers: list[nn.Module] = []
    kept: list[str] = []
    with torch.no_grad():
        sample = images[:2].clone()
        for number, name in enumerate(names):
            layer = (odd if odd and number == place else PLAIN)[name](draw, sample.shape[1]).eval()
            try:
                found = layer(sample.clone())
            except (RuntimeError, ValueError):  # a kernel larger than its map
                continue
            if 0 in found.shape or found.shape[2] * found.shape[3] > 4000 or not found.isfinite().all():
                continue
            layers, kept, sample = [*layers, layer], [*kept, name], found
        model = Last(nn.Sequential(*layers), draw(st.integers(1, 3)), draw(st.booleans())).eval()
        model(images[:1].clone())  # the lazy layer takes its size
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    return Described(model.to(dtype), images.to(dtype), kept, draw(st.integers(1, 4)))
