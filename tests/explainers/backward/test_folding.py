"""Batch normalisation is folded exactly, where it can be."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import aopc
from conftest import images

NAMES = ("lrp-epsilon-0.01", "lrp-epsilon-100", "lrp-alpha2-beta1")


def norm(kind: type[nn.Module], channels: int, eps: float, **settings: bool) -> nn.Module:
    """With statistics and weights of either sign."""
    torch.manual_seed(channels)
    layer = kind(channels, eps, **settings)
    nn.init.normal_(layer.running_mean, 0, 0.2)
    nn.init.uniform_(layer.running_var, 0.01, 2)
    if layer.affine:
        nn.init.uniform_(layer.weight, -2, 2)
        nn.init.normal_(layer.bias, 0, 0.2)
    return layer


def with_weights(layer: nn.Module) -> nn.Module:
    """The same normalisation with weights, which torch's fusion asks for."""
    same = type(layer)(layer.num_features, layer.eps).double().eval()
    same.load_state_dict(layer.state_dict(), strict=False)
    return same


def require_equal(model: nn.Module, fused: nn.Module) -> None:
    model, fused, x = model.double().eval(), fused.double().eval(), images(2, 8, 8).double()
    for name in NAMES:
        expected = aopc.heatmaps(fused, x, name, [0, 1])
        np.testing.assert_allclose(
            aopc.heatmaps(model, x, name, [0, 1]), expected, rtol=0, atol=1e-6 * abs(expected).max()
        )


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 1e-2, 0.5])
@pytest.mark.parametrize("affine", [False, True])
def test_heatmaps_are_those_of_the_network_that_torch_fused(eps: float, affine: bool) -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 4, 3, groups=1, bias=False), nn.Linear(4 * 36, 6)
    first, second = norm(nn.BatchNorm2d, 4, eps, affine=affine), norm(nn.BatchNorm1d, 6, eps, affine=affine)
    last = nn.Linear(6, 3)
    model = nn.Sequential(conv, first, nn.ReLU(), nn.Flatten(), linear, second, nn.ReLU(), last)
    for layer in (conv, linear, first, second, last):
        layer.double().eval()
    fused = nn.Sequential(
        fuse_conv_bn_eval(conv, with_weights(first)), nn.ReLU(), nn.Flatten(),
        fuse_linear_bn_eval(linear, with_weights(second)), nn.ReLU(), last,
    )  # fmt: skip
    require_equal(model, fused)


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups: int) -> None:
    torch.manual_seed(0)
    conv, behind = (
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups).double(),
        norm(nn.BatchNorm2d, 6, 1e-3).double().eval(),
    )
    head = [nn.ReLU(), nn.Flatten(), nn.Linear(6 * 17 * 17, 3)]
    conv, before = conv.eval(), nn.Conv2d(3, 4, 1)
    fused = fuse_conv_bn_eval(conv, behind, transpose=True) if groups == 1 else None
    if fused is None:  # torch's own fusion does not know groups
        fused = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups).double()
        scale = behind.weight / (behind.running_var + behind.eps).sqrt()
        with torch.no_grad():
            for group in range(groups):
                rows, outs = slice(2 * group, 2 * group + 2), slice(3 * group, 3 * group + 3)
                fused.weight[rows] = conv.weight[rows] * scale[outs].reshape(1, 3, 1, 1)
            fused.bias.copy_((conv.bias - behind.running_mean) * scale + behind.bias)
    require_equal(nn.Sequential(before, conv, behind, *head), nn.Sequential(before, fused, *head))


def test_two_in_a_row_are_both_folded() -> None:
    torch.manual_seed(0)
    conv, first, second = nn.Conv2d(3, 4, 3).double(), norm(nn.BatchNorm2d, 4, 1e-3), norm(nn.BatchNorm2d, 4, 1e-2)
    first, second = first.double().eval(), second.double().eval()
    head = [nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)]
    fused = fuse_conv_bn_eval(fuse_conv_bn_eval(conv.eval(), first).eval(), second)
    require_equal(nn.Sequential(conv, first, second, *head), nn.Sequential(fused, *head))


class Order(nn.Module):
    """Normalisations defined in another order than they run in; a layer that runs once is not the one before."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.second, self.first = norm(nn.BatchNorm2d, 5, 1e-3), norm(nn.BatchNorm2d, 4, 1e-3)
        self.head = nn.Linear(5 * 16, 3)
        self.b, self.a = nn.Conv2d(4, 5, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.b(self.first(self.a(x)).relu())).relu().flatten(1))


def test_the_order_of_definition_does_not_matter() -> None:
    model = Order().double().eval()
    fused = nn.Sequential(
        fuse_conv_bn_eval(model.a, model.first), nn.ReLU(), fuse_conv_bn_eval(model.b, model.second), nn.ReLU(),
        nn.Flatten(), model.head,
    )  # fmt: skip
    require_equal(model, fused)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.MaxPool2d(2), norm(nn.BatchNorm2d, 3, 1e-3), nn.Flatten(), nn.Linear(48, 3)],
        lambda: [norm(nn.BatchNorm2d, 3, 1e-3), nn.Conv2d(3, 2, 5), nn.Flatten(), nn.Linear(32, 3)],
        lambda: [nn.Conv2d(3, 4, 3), nn.ReLU(), norm(nn.BatchNorm2d, 4, 1e-3), nn.Flatten(), nn.Linear(144, 3)],
        lambda: [nn.Flatten(2), nn.Linear(64, 5), norm(nn.BatchNorm1d, 3, 1e-3), nn.Flatten(), nn.Linear(15, 3)],
        lambda: [nn.Conv2d(3, 1, 1), nn.Flatten(), norm(nn.BatchNorm1d, 64, 1e-3), nn.Linear(64, 3)],
    ],
)
def test_another_batch_norm_is_refused_by_its_own_reason(layers: Callable[[], list[nn.Module]]) -> None:
    model = nn.Sequential(*layers()).eval()
    with pytest.raises(aopc.InputError, match=r"'batch_norm' in the layer .* does not directly follow"):
        aopc.heatmaps(model, images(1, 8, 8), "lrp-epsilon-0.01")


def test_batch_norm_without_statistics_is_refused() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 3)
    )
    for name in ("lrp-epsilon-0.01", "deconvolution-l2"):
        with pytest.raises(aopc.InputError, match="depend on the other images in its batch"):
            aopc.heatmaps(model.eval(), images(2, 8, 8), name)
