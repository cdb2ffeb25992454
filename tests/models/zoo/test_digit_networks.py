"""The two networks for digits."""

import pytest
from torch import nn

from aopc.models.network import build


@pytest.mark.parametrize("name", ["digit-lenet", "digit-strided"])
def test_only_one_digit_network_pools(name: str) -> None:
    pools = any(isinstance(layer, nn.MaxPool2d) for layer in build(name, 10, {}))
    assert pools == (name == "digit-lenet")
