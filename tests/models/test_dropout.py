"""Dropout that is active outside training: one thinned network an image."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.base.errors import InputError
from aopc.models.dropout import active_dropout


def dropping(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.ReLU(),
        nn.Dropout2d(0.4),
        nn.Conv2d(6, 8, 3, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8 * 4 * 4, 16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 3),
    ).eval()


def with_masks_in_weights(model: nn.Sequential, x: torch.Tensor, name: str) -> nn.Sequential:
    """The network without dropout layers whose weights hold the masks of one image.

    Its contributions z_ij = (a_i m_i) w_ij = a_i (m_i w_ij) are those of the thinned network, so every
    explainer must give the same for both.
    """
    shapes: dict[nn.Module, torch.Size] = {}

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        shapes[module] = output.shape

    droppers = [m for m in model if "Dropout" in type(m).__name__]
    handles = [m.register_forward_hook(note) for m in droppers]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    with active_dropout(model, [name], 7):
        masks = {m: m(torch.ones(shapes[m]))[0] for m in droppers}
    layers, waiting = [], None
    for layer in model:
        if layer in masks:
            waiting = masks[layer]
            continue
        if waiting is not None and isinstance(layer, nn.Conv2d | nn.Linear):
            layer, mask = copy.deepcopy(layer), waiting
            if isinstance(layer, nn.Conv2d):
                channel = mask[:, 0, 0]
                grouped = channel.reshape(layer.groups, -1).repeat_interleave(layer.out_channels // layer.groups, dim=0)
                layer.weight.data *= grouped[:, :, None, None]
            else:
                layer.weight.data *= mask
            waiting = None
        layers.append(layer)
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("explainer", ["sensitivity-l2", "deconvolution-l2", "lrp-epsilon-0.01", "lrp-alpha2-beta1"])
def test_active_dropout_explains_the_thinned_network(explainer: str) -> None:
    model = dropping()
    x = torch.randn(1, 3, 13, 13, generator=torch.Generator().manual_seed(3))
    thinned = with_masks_in_weights(model, x, "a")
    targets = torch.tensor([1])
    ours = aopc.heatmaps(model, x, explainer, targets, image_ids=["a"], dropout_seed=7)
    expected = aopc.heatmaps(thinned, x, explainer, targets)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(ours, aopc.heatmaps(model, x, explainer, targets))


def test_dropout_depends_on_the_image_and_not_on_the_batch() -> None:
    model = dropping()
    x = torch.randn(1, 3, 13, 13).repeat(5, 1, 1, 1)
    ids = list("abcde")

    def maps(batch_size: int, names: list[str] = ids, seed: int = 0) -> np.ndarray:
        return aopc.heatmaps(
            model, x, "lrp-epsilon-0.01", [0] * 5, image_ids=names, batch_size=batch_size,
            dropout_seed=seed,
        )  # fmt: skip

    first = maps(5)
    np.testing.assert_allclose(maps(2), first, atol=1e-6)
    np.testing.assert_allclose(maps(1, ids[::-1])[::-1], first, atol=1e-6)
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(maps(5, seed=1), first)
    assert not any(m._forward_hooks for m in model)  # nothing stays behind


def test_dropout_drops_as_often_as_in_training() -> None:
    layer = nn.Sequential(nn.Dropout(0.3)).eval()
    ones = torch.ones(40, 1000)
    with active_dropout(layer, [str(i) for i in range(40)], 0):
        out = layer(ones)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=0.012)  # five deviations
    with active_dropout(layer, ["7"], 0):
        assert torch.equal(layer(ones[:3]), out[7:8].expand(3, -1))


def test_dropout_needs_layers_and_names() -> None:
    with pytest.raises(InputError, match="has no dropout layers"), active_dropout(nn.ReLU(), [], 0):
        pass
    model = dropping()
    with (
        pytest.raises(InputError, match="given 2 images, but a batch has 3"),
        active_dropout(model, ["a", "b"], 0),
    ):
        model(torch.zeros(3, 3, 13, 13))
