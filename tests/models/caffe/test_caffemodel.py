"""Caffe's files: what is read, and what is refused."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aopc
from aopc.base.errors import InputError
from aopc.models.caffe.caffemodel import read_layers, read_mean
from caffe_files import BLOBS, DATA, LAYER, MESSAGES, SHAPE, blob, caffemodel, nested, varint


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
def test_both_formats_give_the_weights_back(tmp_path: Path, v1: bool, legacy: bool, dtype: type) -> None:
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


def test_messages_are_declared_as_the_tests_do() -> None:
    """A whole network written by the tests' declaration reads back the same by the reader's."""
    net = MESSAGES["NetParameter"].FromString(caffemodel(some_layers()))
    assert [layer.name for layer in net.layer] == ["data", "conv", "relu", "ip"]


def test_mean_images_become_a_colour(tmp_path: Path) -> None:
    mean = np.arange(24.0, dtype=np.float32).reshape(1, 3, 2, 4)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(mean, legacy=True).SerializeToString())
    np.testing.assert_allclose(read_mean(path), [3.5, 11.5, 19.5])
    path.write_bytes(blob(mean[0]).SerializeToString())
    with pytest.raises(InputError, match="no mean image"):
        read_mean(path)


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
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
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
        "from aopc.models.caffe import caffemodel\n"
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
