"""Networks from files that others wrote."""

from pathlib import Path

import numpy as np
import pytest
import torch

import aopc
from aopc.data.classes import read_classes
from aopc.data.folder import image_folder
from aopc.data.subset import Subset
from aopc.models.inference import predict
from aopc.models.load import load_torchvision_model
from aopc.models.network import Network
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing


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
