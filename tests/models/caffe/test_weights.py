"""How the weights of Caffe's networks get into ours."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aopc.base.errors import InputError
from aopc.models.caffe.networks import alexnet, caffenet, googlenet
from aopc.models.caffe.published import CAFFE_WEIGHTS
from aopc.models.caffe.weights import fitting_architecture, load_caffe_network, load_caffe_weights
from aopc.models.inference import predict
from aopc.models.network import build
from aopc.models.preprocessing import PREPROCESSINGS
from caffe_files import BLOBS, LAYER, SHAPE, caffemodel, layers_of, nested, varint, write_network

#: MNIST's files, and where their headers end.
IDX = {"images-idx3": 16, "labels-idx1": 8}


def seeded(name: str, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return build(name, classes, {}).eval()


@pytest.mark.parametrize("v1", [False, True])
def test_weights_arrive_in_their_layers(tmp_path: Path, v1: bool) -> None:
    model = seeded("alexnet", classes=3)
    path = write_network(tmp_path / "net.caffemodel", model, v1=v1, legacy=v1)
    torch.manual_seed(1)
    loaded = load_caffe_weights(alexnet(classes=3), path)
    for (name, a), b in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_googlenet_leaves_its_training_heads_behind(tmp_path: Path) -> None:
    model = seeded("googlenet", classes=3)
    heads = [(f"loss{i}/fc", "InnerProduct", [np.ones((2, 2), np.float32)]) for i in (1, 2)]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel([*layers_of(model), *heads]))
    loaded = load_caffe_weights(googlenet(classes=3), path)
    x = torch.randn(1, 3, 224, 224, generator=torch.manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(model(x), loaded(x))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # places205CNN_deploy.prototxt of the Places CNN's authors; models/bvlc_alexnet.
        (["pool1", "norm1", "pool2", "norm2", "pool5"], "caffenet"),
        (["norm1", "pool1", "norm2", "pool2", "pool5"], "alexnet"),
        ([], "caffenet"),
    ],
)
def test_the_files_layers_decide_the_architecture(tmp_path: Path, order: list[str], expected: str) -> None:
    path = tmp_path / "net.caffemodel"
    kinds = {"p": "Pooling", "n": "LRN"}
    path.write_bytes(caffemodel([(name, kinds[name[0]], []) for name in order], v1=True))
    candidates = CAFFE_WEIGHTS["places205-cnn"].architectures
    assert fitting_architecture(path, candidates) == expected
    if expected == "alexnet":
        with pytest.raises(InputError, match="another architecture"):
            fitting_architecture(path, ["caffenet"])


def test_layers_of_no_size_are_refused(tmp_path: Path) -> None:
    """Thirty bytes that claim a billion classes."""
    empty = nested(SHAPE, b"\x08" + varint(10**9) + b"\x08\x00")
    path = tmp_path / "net.caffemodel"
    path.write_bytes(nested(LAYER, nested(b"\x0a", b"fc8") + nested(BLOBS, empty)))
    with pytest.raises(InputError, match="no weights in its layer 'fc8'"):
        load_caffe_network("caffenet", path)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """Weights alone would not show that pooling and normalisation have changed places."""
    model = seeded("caffenet", classes=3)
    path = write_network(tmp_path / "net.caffemodel", model)
    with pytest.raises(InputError, match="'pool1' where the network has 'norm1'"):
        load_caffe_weights(alexnet(classes=3), path)
    with pytest.raises(InputError, match=r"shape \(3, 4096\), but the network needs \(7, 4096\)"):
        load_caffe_weights(caffenet(classes=7), path)
    with pytest.raises(InputError, match="lacks conv1/7x7_s2"):
        load_caffe_weights(googlenet(classes=3), path)
    layers = layers_of(model)
    path.write_bytes(caffemodel([(n, k, a[:1]) for n, k, a in layers]))
    with pytest.raises(InputError, match="has 1 arrays"):
        load_caffe_weights(caffenet(classes=3), path)
    broken = [(n, k, [x * np.nan for x in a] if n == "fc8" else a) for n, k, a in layers]
    path.write_bytes(caffemodel(broken))
    with pytest.raises(InputError, match="'fc8' has weights that are NaN"):
        load_caffe_weights(caffenet(classes=3), path)


def test_a_networks_classes_come_from_its_file(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.caffemodel", seeded("alexnet", classes=7), v1=True, legacy=True)
    assert load_caffe_network("alexnet", path).get_submodule("fc8").out_features == 7
    with pytest.raises(InputError, match="did you mean 'alexnet'"):
        load_caffe_network("alex-net", path)
    with pytest.raises(InputError, match="no layer 'loss3/classifier'"):
        load_caffe_network("googlenet", path)


def test_the_real_lenet_reaches_its_known_accuracy(real_data: Path) -> None:
    folder = real_data / "mnist"
    raw = {k: gzip.decompress((folder / f"t10k-{k}-ubyte.gz").read_bytes()) for k in IDX}
    images, labels = (np.frombuffer(raw[k][start:], np.uint8) for k, start in IDX.items())
    model = build("caffe-lenet", 10, {})
    load_caffe_weights(model, folder / "lenet_iter_10000.caffemodel")
    pixels = PREPROCESSINGS["caffe-lenet"].normalise(images.reshape(-1, 28, 28))
    right = predict(model, pixels).argmax(axis=1) == labels
    assert right.mean() == 0.9903  # shared/data/README.md
