"""Weights from anywhere: whole and as large as they look, or refused in one line."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aopc.base.errors import InputError
from aopc.models.load import load_torchvision_model
from aopc.models.network import Layout, Network, save_network, stored_network
from aopc.models.preprocessing import Preprocessing
from aopc.models.tensors import LARGEST_RATIO

WEIGHT, BIAS = "classifier.1.weight", "classifier.1.bias"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    return dict(squeezenet1_1(num_classes=4).state_dict())


def _compressed(path: Path) -> None:
    """The same archive as a zip program writes it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _bomb(path: Path) -> None:
    torch.save({WEIGHT: torch.zeros(2**23)}, path)
    _compressed(path)
    assert path.stat().st_size * LARGEST_RATIO < 2**25


def _flipped(at: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(len(content) * at)] ^= 16
        path.write_bytes(content)

    return spoil


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _changed(**values: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        found = torch.load(path)
        change = {name.replace("_", "."): value for name, value in values.items()}
        torch.save(found | {k: v(found[k]) if callable(v) else v for k, v in change.items()}, path)

    return spoil


def _keys(path: Path) -> None:
    torch.save(torch.load(path) | {5: torch.zeros(3)}, path)


def _no_outputs(path: Path) -> None:
    torch.save(torch.load(path) | {WEIGHT: torch.zeros(0, 512, 1, 1), BIAS: torch.zeros(0)}, path)


_ENDLESS = {"classifier_1_weight": torch.zeros(1, 1, 1, 1).expand(10**7, 512, 1, 1)}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_bomb, f"holds more than {LARGEST_RATIO} times its size"),
        (_changed(**_ENDLESS), f"holds more than {LARGEST_RATIO} times its size"),
        (lambda path: torch.save({WEIGHT: torch.zeros(1).expand(10**9)}, path), "times its size"),
        *[(_flipped(at), "is damaged") for at in (0.1, 0.3, 0.5, 0.7, 0.9)],
        (_cut, "cannot read the weights file"),
        (_keys, "holds no state dict"),
        (_no_outputs, "does not hold a classifier's parameters"),
        (_changed(classifier_1_weight=Tensor.int), "as torch.int32: save it in floating point"),
        (_changed(classifier_1_bias=Tensor.bool), "as torch.bool: save it in floating point"),
        (_changed(classifier_1_weight=lambda x: x.to(torch.complex64)), "as torch.complex64"),
        (_changed(classifier_1_bias=Tensor.to_sparse), "in a form that no layer takes"),
        (_changed(classifier_1_bias=lambda x: x.to("meta")), "in a form that no layer takes"),
        (_changed(more=3), "holds no state dict"),
        (lambda path: torch.save([1, 2], path), "holds no state dict"),
        (lambda path: torch.save({}, path), "holds no state dict"),
        (lambda path: path.write_bytes(b"\x80\x02" + b"(" * 200_000 + b"."), "cannot read the weights file"),
    ],
)
def test_weights_that_are_not_what_they_look_like_are_refused(
    tmp_path: Path, state: dict[str, Tensor], spoil: Callable[[Path], None], said: str
) -> None:
    torch.save(state, tmp_path / "w.pt")
    spoil(tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            load_torchvision_model("squeezenet1_1", tmp_path / "w.pt")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        _compressed,
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: torch.save(torch.load(path), path, _use_new_zipfile_serialization=False),
        lambda path: torch.save({k: v.double() for k, v in torch.load(path).items()}, path),
    ],
)
def test_weights_that_are_right_in_another_form_are_taken(
    tmp_path: Path, state: dict[str, Tensor], change: Callable[[Path], object]
) -> None:
    torch.save(state, tmp_path / "w.pt")
    change(tmp_path / "w.pt")
    found = load_torchvision_model("squeezenet1_1", tmp_path / "w.pt").state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_stored_network_is_bounded_too(tmp_path: Path) -> None:
    layer = nn.Linear(4, 2)
    layer.weight = nn.Parameter(torch.zeros(1).expand(10**8, 4))
    network = Network(nn.Sequential(nn.Flatten(), layer), Preprocessing("L", (0.5,), (0.3,), 1.0))
    save_network(tmp_path / "net.pt", network, Layout("digit-lenet", 2))
    with pytest.raises(InputError, match="times its size"):
        stored_network(tmp_path / "net.pt")
