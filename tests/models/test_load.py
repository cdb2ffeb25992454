"""Networks from files that others wrote."""

import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

import aopc
from aopc.base.errors import ResultWarning
from aopc.data.classes import read_classes
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from aopc.models.inference import predict
from aopc.models.load import load_network, load_torchvision_model
from aopc.models.network import Network, save_network, stored_network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing
from aopc.models.zoo.torchvision_models import torchvision_preprocessings


def test_weights_files_are_checked(tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_1

    good = tmp_path / "good.pt"
    torch.manual_seed(0)
    net = squeezenet1_1(num_classes=4).eval()
    torch.save(net.state_dict(), good)
    loaded = load_torchvision_model("squeezenet1_1", good)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded(x), net(x))
    (tmp_path / "short.pt").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "text.pt").write_text("hello")
    torch.save(net, tmp_path / "module.pt")
    torch.save({"epoch": 3, "state": net.state_dict()}, tmp_path / "checkpoint.pt")
    for name in ("short.pt", "text.pt", "module.pt", "checkpoint.pt", "none.pt"):
        with pytest.raises(aopc.InputError, match=name.replace(".", r"\.")) as caught:
            load_torchvision_model("squeezenet1_1", tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(aopc.InputError, match="do not fit the architecture alexnet"):
        load_torchvision_model("alexnet", good)
    with pytest.raises(aopc.InputError, match="did you mean 'squeezenet1_1'"):
        load_torchvision_model("squeeznet1_1", good)


def test_caffe_layout_pads_squeezenets_last_convolution(tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_0

    path = tmp_path / "w.pt"
    torch.save(squeezenet1_0(num_classes=3).state_dict(), path)
    assert load_torchvision_model("squeezenet1_0", path, caffe=True).classifier[1].padding == (1, 1)
    assert load_torchvision_model("squeezenet1_0", path).classifier[1].padding == (0, 0)


def test_real_squeezenet_recognises_real_images(real_data: Path) -> None:
    """Top-1 about 0.65 over all classes' images (shared data's README); BGR matters."""
    weights = real_data / "squeezenet" / "squeezenet1_0_ilsvrc2012.pt"
    model = load_torchvision_model("squeezenet1_0", weights, caffe=True)
    folder = image_folder(real_data / "imagenet-sample" / "images").subset(Subset(100, "sample"))
    labels = folder.labels(read_classes(real_data / "imagenet-sample" / "classes.txt"))
    images = [folder.load(name) for name in folder.ids]

    def accuracy(prepare: Preprocessing) -> float:
        frames = np.stack([prepare.frame(image) for image in images])
        x = Network(model, prepare).inputs(frames)
        return float((predict(model, x).argmax(1) == labels).mean())

    assert accuracy(PREPROCESSINGS["caffe"]) >= 0.55
    rgb = Preprocessing("RGB", (123.0, 117.0, 104.0), (1.0,) * 3, 255.0, (256, 256), 227)
    assert accuracy(rgb) < accuracy(PREPROCESSINGS["caffe"])


def saved(path: Path, model: nn.Module, change: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Path:
    torch.save(change(model.state_dict()), path)
    return path


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (412, 530, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_that_convert_their_inputs_get_what_torchvision_gives_them(tmp_path: Path, name: str) -> None:
    """From a photograph to the scores: in the preprocessing, so that every explainer sees the whole network."""
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, num_classes=5, transform_input=True, init_weights=False).eval()
    file = saved(tmp_path / "w.pt", theirs)
    network, layout = load_network(name, file)
    prepare = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    frame = network.preprocessing.frame(PHOTO)
    assert frame.shape == {"googlenet": (224, 224, 3), "inception_v3": (299, 299, 3)}[name]
    with torch.no_grad():
        expected, found = theirs(prepare(PHOTO)[None]), network.model(network.inputs(frame[None]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert not network.model.transform_input
    if name == "inception_v3":
        return
    # The model alone is torchvision's.
    alone = load_torchvision_model(name, file)
    assert alone.transform_input
    x = torch.randn(1, 3, 299, 299)
    with torch.no_grad():
        torch.testing.assert_close(alone(x), theirs(x), rtol=0, atol=0)
    save_network(tmp_path / "n.pt", network, layout)
    with torch.no_grad():
        stored = stored_network(tmp_path / "n.pt")
        torch.testing.assert_close(stored.model(network.inputs(frame[None])), found, rtol=0, atol=0)


def test_weights_trained_otherwise_can_say_so(tmp_path: Path) -> None:
    theirs = models.googlenet(num_classes=5, aux_logits=False, init_weights=False).eval()  # as torchvision saves it
    network, _ = load_network("googlenet", saved(tmp_path / "w.pt", theirs), "imagenet-224")
    prepare = models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()
    with torch.no_grad():
        found = network.model(network.inputs(network.preprocessing.frame(PHOTO)[None]))
        torch.testing.assert_close(found, theirs(prepare(PHOTO)[None]), rtol=1e-4, atol=1e-5)
    assert network.origin["preprocessed as"] == "imagenet-224"


WEIGHTS = [(name, w) for name in models.list_models(module=models) for w in models.get_model_weights(name)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_published_preprocessing_is_torchvisions(interpolation: str) -> None:
    """One each of those that differ, and all records by their entries."""
    done = set()
    for name, weights in WEIGHTS:
        theirs, ours = weights.transforms(), torchvision_preprocessings(name)[weights.name]
        if ours.interpolation != interpolation or ours in done or name in ("googlenet", "inception_v3"):
            continue
        done.add(ours)
        np.testing.assert_allclose(ours.normalise(ours.frame(PHOTO)), theirs(PHOTO), atol=1e-5, err_msg=name)
    assert len(done) > 4
    assert len(WEIGHTS) > 100


def test_the_preprocessing_is_that_of_the_published_weights_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path / "mobilenet_v2.pth", models.mobilenet_v2(num_classes=2))
    checksum = "7ebf99e0" + "0" * 56  # as IMAGENET1K_V2's begins
    with pytest.warns(
        ResultWarning, match=r"none of torchvision's.* IMAGENET1K_V1 .*--preprocessing IMAGENET1K_V2 \(232"
    ):
        network, _ = load_network("mobilenet_v2", file)
    assert network.preprocessing == torchvision_preprocessings("mobilenet_v2")["IMAGENET1K_V1"]
    assert network.preprocessing == PREPROCESSINGS["imagenet"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("IMAGENET1K_V2", "caffe", "imagenet-224"):
            found, _ = load_network("mobilenet_v2", file, name)
            assert found.origin["preprocessed as"].endswith(name)
        # Where they do not differ, there is nothing to say.
        load_network("squeezenet1_1", saved(tmp_path / "s.pt", models.squeezenet1_1(num_classes=2)))
        monkeypatch.setattr(hashlib, "file_digest", lambda *_: SimpleNamespace(hexdigest=lambda: checksum))
        for given in (None, "imagenet"):
            network, _ = load_network("mobilenet_v2", file, given)
            assert (network.preprocessing.resize, network.preprocessing.crop) == (232, 224)
            assert network.origin["preprocessed as"] == "mobilenet_v2 IMAGENET1K_V2"
    with pytest.raises(aopc.InputError, match="unknown preprocessing 'IMAGENET1K_V3': did you mean 'IMAGENET1K_V"):
        load_network("mobilenet_v2", file, "IMAGENET1K_V3")


def old_dense_layers(state: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])", r"\1.\2", k): v for k, v in state.items()}


def without_counters(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if "num_batches" not in k}


def backwards(state: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(state.items()))


def old_perceptrons(state: dict[str, Any]) -> OrderedDict[str, Any]:
    """As in the files that torchvision publishes for its vision transformers."""
    old = OrderedDict(
        (k.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"), v) for k, v in state.items()
    )
    old._metadata = {k: {"version": 1} for k in state._metadata}  # type: ignore[attr-defined]
    return old


@pytest.mark.parametrize(
    ("name", "settings", "change"),
    [
        ("shufflenet_v2_x0_5", {}, without_counters),
        ("squeezenet1_1", {}, backwards),
        ("mobilenet_v3_small", {}, lambda s: dict(sorted(s.items()))),
        ("densenet121", {}, lambda s: without_counters(old_dense_layers(s))),
        ("googlenet", {"init_weights": False}, dict),
        ("googlenet", {"init_weights": False, "aux_logits": False}, without_counters),
        ("vit_b_32", {"image_size": 256}, old_perceptrons),
    ],
)
def test_files_of_all_ages_load(
    tmp_path: Path, name: str, settings: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, num_classes=3, **settings).eval()
    size = settings.get("image_size", 96)
    found = load_torchvision_model(name, saved(tmp_path / "w.pt", theirs, change))
    if hasattr(found, "transform_input"):
        theirs.transform_input = True
    with torch.no_grad():
        x = torch.randn(1, 3, size, size)
        torch.testing.assert_close(found(x), theirs(x), rtol=0, atol=0)


def test_what_a_file_lacks_is_not_made_up(tmp_path: Path) -> None:
    net = models.resnet18(num_classes=3)
    for gone in ("layer1.0.conv1.weight", "layer1.0.bn1.running_mean", "fc.weight"):
        file = saved(tmp_path / "w.pt", net, lambda s, gone=gone: {k: v for k, v in s.items() if k != gone})
        with pytest.raises(aopc.InputError, match=f"1 missing .such as {gone}"):
            load_torchvision_model("resnet18", file)
