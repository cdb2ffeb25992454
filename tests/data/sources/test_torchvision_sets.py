"""MNIST and CIFAR-10 through torchvision, and what else torchvision knows of our sources."""

import gzip
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.data.sources import SOURCES, ilsvrc2012, places, sun397, torchvision_sets
from file_server import FileServer
from image_files import get, tar


def test_sources_are_torchvisions() -> None:
    from torchvision.datasets import SUN397, Places365, imagenet

    name, md5 = imagenet.ARCHIVE_META["val"]
    assert (ilsvrc2012.ILSVRC2012.name, ilsvrc2012.ILSVRC2012.checksum) == (name, f"md5:{md5}")
    assert sun397.SUN397.checksum == f"md5:{SUN397._DATASET_MD5}"
    assert SUN397._DATASET_URL in sun397.SUN397.urls
    name, md5 = Places365._IMAGES_META[("val", True)]
    assert (places.PLACES365.name, places.PLACES365.checksum) == (name, f"md5:{md5}")
    assert places.PLACES365.urls == (Places365._BASE_URL + name,)


def test_mnist_reads_real_files(
    downloads: Path, server: FileServer, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = {}
    for kind in ("images", "labels"):
        name = {"images": "t10k-images-idx3-ubyte.gz", "labels": "t10k-labels-idx1-ubyte.gz"}[kind]
        url = server.serve(name, (real_data / "mnist" / name).read_bytes(), cut_after=[1000])
        archives[f"test {kind}"] = {"urls": url, "checksum": None}
    found = get("mnist", archives=archives)
    assert found.pixels.shape == (10_000, 32, 32)
    assert found.pixels[:, :2].max() == 0
    assert found.labels is not None
    assert found.labels[:5].tolist() == [7, 2, 1, 0, 4]  # the test set's known beginning
    assert found.ids[0] == "test-00000"
    served = {name for name, _ in server.requests}
    assert served == {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    # Another file in its place is another data set, and no file is one that torchvision cannot read.
    path = downloads / "MNIST" / "t10k-labels-idx1-ubyte.gz"
    labels = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(labels[:8] + bytes(10_000)))
    again = get("mnist", archives=archives)
    assert again.labels is not None
    assert again.labels.max() == 0
    assert again.files != found.files
    path.write_bytes(gzip.compress(labels)[:-3000])
    with pytest.raises(InputError, match="torchvision cannot read"):
        get("mnist", archives=archives)
    with pytest.raises(InputError, match="did you mean 'test images'"):
        get("mnist", archives={"test image": {}})


def test_cifar10_reads_the_official_layout(
    downloads: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:

    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    content, sums = {}, {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        batch = {"data": rng.integers(0, 256, (4, 3072), np.uint8), "labels": [0, 3, 9, 5]}
        content[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    content["cifar-10-batches-py/batches.meta"] = pickle.dumps({"label_names": names})
    for path, data in content.items():
        sums[path.rpartition("/")[2]] = hashlib.md5(data).hexdigest()
    archive = tar(content)
    md5 = hashlib.md5(archive).hexdigest()
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, s] for n, s in sums.items() if n[0] == "d"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setitem(CIFAR10.meta, "md5", sums["batches.meta"])
    url = server.serve("cifar-10-python.tar.gz", archive)
    found = resolve("source", SOURCES, "cifar10")(split="train", seed=0, archive={"urls": url})
    assert found.pixels.shape == (20, 32, 32, 3)
    assert found.classes[3] == "cat"
    assert len(get("cifar10", archive={"urls": url})) == 4
    assert torchvision_sets.cifar10_source().checksum == f"md5:{md5}"
    # An archive with other batches is neither unpickled nor replaced by a download.
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", "0" * 32]])
    asked = len(server.requests)
    with pytest.raises(InputError, match="holds other files than CIFAR-10's"):
        get("cifar10", archive={"urls": url})
    assert len(server.requests) == asked
    assert (downloads / "cifar-10-python.tar.gz").read_bytes() == archive
