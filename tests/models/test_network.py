"""A network with all that belongs to it, in memory and as a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import aopc
from aopc.models.network import Layout, Network, build, save_network, stored_network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.zoo import ARCHITECTURES

GREY = Preprocessing("L", (0.5,), (0.3,), 1.0)


def small(seed: int = 0) -> tuple[Network, Layout]:
    torch.manual_seed(seed)
    layout = Layout("small-caffenet", 5, {"width": 8})
    preprocessing = Preprocessing("BGR", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 1.0, (64, 64))
    return Network(layout.build().eval(), preprocessing, origin={"seed": seed}), layout


def test_a_stored_network_is_what_was_saved(tmp_path: Path) -> None:
    network, layout = small()
    save_network(tmp_path / "a" / "net.pt", network, layout)
    found = stored_network(tmp_path / "a" / "net.pt")
    assert found.preprocessing == network.preprocessing
    assert found.origin == {"seed": 0}
    assert not found.model.training
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(found.model(x), network.model(x), rtol=0, atol=0)


def test_equal_networks_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_network(tmp_path / name / "net.pt", *small())
    save_network(tmp_path / "other" / "net.pt", *small(seed=1))
    one, two, other = ((tmp_path / n / "net.pt").read_bytes() for n in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_inputs_are_the_frames_as_the_model_takes_them() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8))
    for preprocessing, shape in ((PREPROCESSINGS["caffe"], (3, 227, 227)), (GREY, (1, 80, 90))):
        network = Network(nn.Identity(), preprocessing)
        frame = preprocessing.frame(image)
        found = network.inputs(np.stack([frame, frame[::-1]]))
        assert found.dtype == torch.float32
        assert found.shape == (2, *shape)
        for one, pixels in zip(found, (frame, frame[::-1]), strict=True):
            torch.testing.assert_close(one, torch.from_numpy(preprocessing.normalise(pixels)), rtol=0, atol=0)


def test_devices_are_named() -> None:
    network, _ = small()
    assert network.on("cpu").preprocessing == network.preprocessing
    with pytest.raises(aopc.InputError, match="cannot use the device 'gpu'"):
        network.on("gpu")


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"torchvision"}))
def test_every_architecture_has_as_many_outputs_as_it_is_told(name: str) -> None:
    *_, bias = build(name, 3, {}).parameters()
    assert bias.shape == (3,)


def test_unknown_architectures_and_settings_are_said() -> None:
    with pytest.raises(aopc.InputError, match="did you mean 'small-caffenet'"):
        build("small-cafenet", 3, {})
    with pytest.raises(aopc.InputError, match="unknown setting 'widht': did you mean 'width'"):
        build("small-caffenet", 3, {"widht": 4})
    with pytest.raises(aopc.InputError, match="unknown setting 'classes'"):
        build("small-caffenet", 3, {"classes": 4})
