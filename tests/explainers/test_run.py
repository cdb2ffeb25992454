"""Heatmaps of many images: targets, batches, and what explainers share."""

import numpy as np
import pytest
import torch
from torch import nn

import aopc
from aopc.explainers.registry import EXPLAINERS
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
