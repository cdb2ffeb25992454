"""Caffe's files and networks: the reader, what it refuses, and layers as Caffe computes them."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import aopc
from aopc.base.errors import InputError
from aopc.models import ARCHITECTURES
from aopc.models.caffe.networks import alexnet, caffenet, googlenet
from aopc.models.caffe.weights import (
    CAFFE_WEIGHTS,
    fitting_architecture,
    load_caffe_network,
    load_caffe_weights,
    weights_named,
)
from aopc.models.caffe.caffemodel import read_layers, read_mean
from aopc.models.inference import predict
from aopc.models.preprocessing import PREPROCESSINGS
from caffe_files import MESSAGES, blob, caffemodel, layers_of, varint, write_network

#: MNIST's files, and where their headers end.
IDX = {"images-idx3": 16, "labels-idx1": 8}


def some_layers(seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    return [
        ("data", "Data", []),
        ("conv", "Convolution", [rng.normal(size=(4, 1, 3, 3)), rng.normal(size=4)]),
        ("relu", "ReLU", []),
        ("ip", "InnerProduct", [rng.normal(size=(2, 16)), rng.normal(size=2)]),
    ]


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_formats_give_the_weights_back(
    tmp_path: Path, v1: bool, legacy: bool, dtype: type
) -> None:
    layers = [(n, k, [a.astype(dtype) for a in arrays]) for n, k, arrays in some_layers()]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(layers, v1=v1, legacy=legacy))
    found = aopc.read_caffemodel(path)
    assert list(found) == ["conv", "ip"]
    for name, _, arrays in layers:
        for got, expected in zip(found.get(name, []), arrays, strict=True):
            assert got.dtype == dtype
            assert got.shape == ((1,) * (4 - expected.ndim) if legacy else ()) + expected.shape
            np.testing.assert_array_equal(got.reshape(expected.shape), expected)
    kinds = [layer.type for layer in read_layers(path)]
    assert kinds[1:] == ["Convolution", "ReLU", "InnerProduct"]


def test_unpacked_values_are_read_too(tmp_path: Path) -> None:
    """A protobuf reader must take a repeated field in either encoding."""
    data = b"".join(b"\x2d" + struct.pack("<f", v) for v in (1.0, 2.0, 3.0))
    blob_ = data + b"\x3a\x02\x08\x03"  # shape { dim: 3 }
    layer = b"\x0a\x01x" + b"\x3a" + bytes([len(blob_)]) + blob_
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert aopc.read_caffemodel(path)["x"][0].tolist() == [1.0, 2.0, 3.0]


def test_the_real_lenet_reaches_its_known_accuracy(real_data: Path) -> None:
    folder = real_data / "mnist"
    raw = {k: gzip.decompress((folder / f"t10k-{k}-ubyte.gz").read_bytes()) for k in IDX}
    images, labels = (np.frombuffer(raw[k][start:], np.uint8) for k, start in IDX.items())
    model = ARCHITECTURES["caffe-lenet"]()
    load_caffe_weights(model, folder / "lenet_iter_10000.caffemodel")
    pixels = PREPROCESSINGS["caffe-lenet"].normalise(images.reshape(-1, 28, 28))
    right = predict(model, pixels).argmax(axis=1) == labels
    assert right.mean() == 0.9903  # shared/data/README.md


# --- what is refused -----------------------------------------------------------------------


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        aopc.read_caffemodel(path)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = caffemodel(some_layers())
    for length in range(len(whole)):
        path = tmp_path / "net.caffemodel"
        path.write_bytes(whole[:length])
        try:
            found = aopc.read_caffemodel(path)
        except InputError:
            continue
        # Between two layers a message may end, and nothing in the format says that more was meant.
        assert list(found) == ["conv"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(caffemodel(some_layers(), v1=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        # The values' own bytes may be anything; what is of interest stands before them.
        at = at if data.draw(st.booleans()) else at % 64
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.caffemodel"
    path.write_bytes(content)
    try:
        found = aopc.read_caffemodel(path)
    except InputError:
        return
    assert sum(a.nbytes for arrays in found.values() for a in arrays) <= 2 * len(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.caffemodel"
    path.write_bytes(junk)
    with pytest.raises(InputError):
        aopc.read_caffemodel(path)


def nested(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


LAYER, BLOBS, SHAPE, DATA = b"\xa2\x06", b"\x3a", b"\x3a", b"\x2a"


def one_blob(content: bytes) -> bytes:
    return nested(LAYER, b"\x0a\x01x" + nested(BLOBS, content))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no weights"),
        (b'name: "LeNet"\nlayer {', "no Caffe network"),
        (one_blob(nested(SHAPE, b"\x08\x05") + nested(DATA, bytes(8))), "shape 5 has 2 values"),
        (one_blob(nested(SHAPE, b"\x08" + varint(2**64 - 1))), "shape -1"),
        (one_blob(nested(SHAPE, (b"\x08" + varint(2**62)) * 4)), "has 0 values"),
        (one_blob(nested(SHAPE, b"\x08" + varint(2**62) + b"\x08\x00")), "× 0 has 0 values"),
        (one_blob(nested(SHAPE, b"\x08\x01" * 500) + nested(DATA, bytes(4))), "1 × …"),
        (one_blob(nested(DATA, bytes(7))), "no Caffe network"),
        (one_blob(nested(DATA, bytes(8)) + nested(b"\x42", bytes(8))), "two precisions"),
        (one_blob(nested(SHAPE, b"\x08\x01") + nested(DATA, bytes(4))) * 2, "two layers 'x'"),
        (nested(LAYER, b"\x0a\x01x") + nested(b"\x12", b"\x22\x01x"), "mixes"),
        (nested(b"\x12", b"\x0a\x00"), "V0"),
        (nested(LAYER, b"\x0a\x01x" + nested(BLOBS, b"") * 101), "101 blobs"),
        (LAYER + varint(2**40), "no Caffe network"),
        (b"\x0b" * 100_000, "no Caffe network"),  # groups within groups
    ],
)
def test_contradictions_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path / "x.caffemodel", content)


@pytest.mark.parametrize(
    "content",
    [nested(LAYER, b"") * 3_000_000, nested(LAYER, nested(BLOBS, b"") * 3_000_000)],
    ids=["layers", "blobs"],
)
def test_hostile_files_cost_a_multiple_of_their_size(tmp_path: Path, content: bytes) -> None:
    """Millions of empty messages. Their objects would take 100 times the file, and minutes."""
    (tmp_path / "x").write_bytes(content)
    script = (
        "import resource, time, aopc\n"
        "from aopc.models import caffemodel\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before, started = peak(), time.process_time()\n"
        "try: aopc.read_caffemodel('x')\n"
        "except aopc.InputError as error: print(peak() - before, time.process_time() - started)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    grown, seconds = map(float, done.stdout.split())
    assert grown < 25 * len(content)
    assert seconds < 10


def test_missing_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no Caffe network"):
        aopc.read_caffemodel(tmp_path / "none")
    with pytest.raises(InputError, match="cannot read"):
        aopc.read_caffemodel(tmp_path)


def test_mean_images_become_a_colour(tmp_path: Path) -> None:
    mean = np.arange(24.0, dtype=np.float32).reshape(1, 3, 2, 4)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(mean, legacy=True).SerializeToString())
    np.testing.assert_allclose(read_mean(path), [3.5, 11.5, 19.5])
    path.write_bytes(blob(mean[0]).SerializeToString())
    with pytest.raises(InputError, match="no mean image"):
        read_mean(path)


# --- the networks --------------------------------------------------------------------------


def seeded(name: str, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return ARCHITECTURES[name](classes=classes).eval()


@pytest.mark.parametrize(
    ("name", "side", "weights"),
    # From the papers and Caffe's own count of each network's parameters.
    [("caffenet", 227, 60_965_224), ("alexnet", 227, 60_965_224), ("googlenet", 224, 6_998_552)],
)
def test_networks_have_the_published_size(name: str, side: int, weights: int) -> None:
    model = ARCHITECTURES[name](classes=1000).eval()
    assert sum(p.numel() for p in model.parameters()) == weights
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, side, side)).shape == (1, 1000)


def test_maps_have_the_sizes_that_caffe_prints() -> None:
    """Caffe's ceil rule: 55 → 27 → 13 → 6 in CaffeNet, 112 → 56 → 28 → 14 → 7 in GoogLeNet."""
    for model, side, expected in (
        (caffenet(classes=2), 227, [55, 27, 27, 13, 13, 13, 13, 6]),
        (alexnet(classes=2), 227, [55, 27, 27, 13, 13, 13, 13, 6]),
        (googlenet(classes=2), 224, [112, 56, 56, 56, 28, 14, 7, 1]),
    ):
        sizes: list[int] = []
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        for module in model.children():
            if isinstance(module, kinds):
                module.register_forward_hook(lambda m, i, o, s=sizes: s.append(o.shape[-1]))
        model.eval()(torch.zeros(1, 3, side, side))
        assert sizes == expected


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
def test_the_files_layers_decide_the_architecture(
    tmp_path: Path, order: list[str], expected: str
) -> None:
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


def test_published_weights_say_where_they_are_from() -> None:
    for weights in CAFFE_WEIGHTS.values():
        assert set(weights.architectures) <= set(ARCHITECTURES)
        assert weights.source.urls
        assert weights.source.bytes > 10**7
        assert weights.source.licence
    with pytest.raises(InputError, match="did you mean 'bvlc-caffenet'"):
        weights_named("bvlc-cafenet")


def test_a_networks_classes_come_from_its_file(tmp_path: Path) -> None:
    path = write_network(
        tmp_path / "net.caffemodel", seeded("alexnet", classes=7), v1=True, legacy=True
    )
    assert load_caffe_network("alexnet", path).get_submodule("fc8").out_features == 7
    with pytest.raises(InputError, match="did you mean 'alexnet'"):
        load_caffe_network("alex-net", path)
    with pytest.raises(InputError, match="no layer 'loss3/classifier'"):
        load_caffe_network("googlenet", path)


# --- layers as Caffe computes them: loops in float64, from its source ---------------------------


def caffe_pool(x: np.ndarray, kernel: int, stride: int, pad: int, average: bool) -> np.ndarray:
    """pooling_layer.cpp: the size is rounded up, a last window that starts outside is cut."""
    side = x.shape[-1]
    out = int(np.ceil((side + 2 * pad - kernel) / stride)) + 1
    if pad and (out - 1) * stride >= side + pad:
        out -= 1
    result = np.zeros((*x.shape[:2], out, out))
    for i in range(out):
        for j in range(out):
            top, left = i * stride - pad, j * stride - pad
            bottom, right = min(top + kernel, side + pad), min(left + kernel, side + pad)
            area = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0) : min(bottom, side), max(left, 0) : min(right, side)]
            result[:, :, i, j] = (
                window.sum(axis=(2, 3)) / area if average else window.max(axis=(2, 3))
            )
    return result


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(3, 20),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padded=st.booleans(),
    average=st.booleans(),
)
def test_pooling_is_caffes(
    side: int, kernel: int, stride: int, padded: bool, average: bool
) -> None:
    stride, pad = min(stride, kernel), kernel // 2 if padded else 0
    kind = nn.AvgPool2d if average else nn.MaxPool2d
    layer = kind(kernel, stride=stride, padding=pad, ceil_mode=True)
    x = np.random.default_rng(side).normal(size=(1, 2, side, side))
    expected = caffe_pool(x, kernel, stride, pad, average)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, atol=1e-12)


def test_the_ceil_rule_matters_here() -> None:
    x = np.random.default_rng(0).normal(size=(1, 1, 112, 112))
    assert caffe_pool(x, 3, 2, 0, False).shape[-1] == 56
    assert nn.MaxPool2d(3, 2)(torch.from_numpy(x)).shape[-1] == 55


@settings(max_examples=20, deadline=None)
@given(
    channels=st.integers(1, 12), size=st.sampled_from([3, 5]), scale=st.sampled_from([1.0, 100.0])
)
def test_normalisation_is_caffes(channels: int, size: int, scale: float) -> None:
    """lrn_layer.cpp, ACROSS_CHANNELS: the sum over the window, divided by its full size."""
    alpha, beta = 1e-4, 0.75
    x = scale * np.random.default_rng(channels).normal(size=(2, channels, 3, 3))
    expected = np.empty_like(x)
    for c in range(channels):
        window = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        s = 1.0 + alpha / size * (window**2).sum(axis=1)
        expected[:, c] = x[:, c] * s**-beta
    layer = nn.LocalResponseNorm(size, alpha=alpha, beta=beta, k=1.0)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)


def test_messages_are_declared_as_the_tests_do() -> None:
    """A whole network written by the tests' declaration reads back the same by the reader's."""
    net = MESSAGES["NetParameter"].FromString(caffemodel(some_layers()))
    assert [layer.name for layer in net.layer] == ["data", "conv", "relu", "ip"]
