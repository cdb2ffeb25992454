"""The paper profile from nothing to its figures, on real images in archives of the official layout.

Every archive and network is served on loopback; the networks have seeded weights, written as Caffe
writes them. What else than the addresses differs from the profile is listed in ``settings_for``.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from aopc.models.network import build
from caffe_files import blob, write_network
from file_server import FileServer, file_server
from pipeline import ROOT, execute, new_repository, ran

CATEGORIES = ["a/abbey", "b/bakery/shop", "c/cathedral/indoor", "v/valley"]


def tar(members: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    options = {"compresslevel": 1} if mode == "w:gz" else {}
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def checksum(content: bytes, algorithm: str = "md5") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass
class Published:
    """What the paper's data sets and networks look like from here."""

    images: list[bytes]
    ilsvrc: dict[str, bytes]
    files: dict[str, bytes]


def write_caffe(folder: Path, architecture: str, classes: int) -> bytes:
    torch.manual_seed(0)
    model = build(architecture, classes, {})
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return write_network(folder / "net.caffemodel", model, v1=True).read_bytes()


@pytest.fixture(scope="module")
def published(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("published")
    paths = sorted((real_data / "imagenet-sample" / "images").rglob("*.JPEG"))[:24]
    images = [p.read_bytes() for p in paths]
    ilsvrc = {f"ILSVRC2012_val_{24 - i:08d}.JPEG": x for i, x in enumerate(images)}
    sun = {"SUN397/ClassName.txt": b"/a/abbey\n"}
    for i, image in enumerate(images):
        sun[f"SUN397/{CATEGORIES[i % 4]}/sun_{i:04d}.jpg"] = image
    places = {f"testSet_resize/{i:032x}.jpg": image for i, image in enumerate(images)}
    mean = blob(torch.full((1, 3, 8, 8), 110.0).numpy(), legacy=True).SerializeToString()
    network = {
        "placesCNN_upgraded/places205CNN_iter_300000_upgraded.caffemodel": write_caffe(folder, "caffenet", 205),
        "placesCNN_upgraded/places205CNN_mean.binaryproto": mean,
    }
    files = {
        "ilsvrc2012": tar(ilsvrc, "w"),
        "sun397": tar(sun, "w:gz"),
        "places205": tar(places, "w:gz"),
        "caffenet": write_caffe(folder, "caffenet", 1000),
        "placescnn": tar(network, "w:gz"),
    }
    for kind in ("images-idx3", "labels-idx1"):
        name = f"t10k-{kind}-ubyte.gz"
        files[name] = (real_data / "mnist" / name).read_bytes()
    return Published(images, ilsvrc, files)


def settings_for(server: FileServer, published: Published) -> dict[str, Any]:
    """The profile with our addresses and checksums, and less of everything.

    CIFAR-10 is left out, whose archive torchvision checks file by file against the real one's sums;
    MNIST's test set serves as its training set, and Figure 7 is of the network for it.
    """
    params = yaml.safe_load((ROOT / "profiles" / "paper" / "params.yaml").read_text())
    files = published.files
    archives = {
        name: {"urls": [server.serve(name, files[name])], "checksum": checksum(files[name])}
        for name in ("ilsvrc2012", "sun397", "places205", "placescnn")
    }
    url = server.serve("caffenet", files["caffenet"])
    archives["caffenet"] = {"urls": url, "checksum": checksum(files["caffenet"], "sha1")}
    for name in ("ilsvrc2012", "sun397", "places205"):
        params["datasets"][name]["test"] = {"count": 6, "archive": archives[name]}
        params["panels"][name]["images"] = 6
    params["networks"]["ilsvrc2012"]["caffenet"]["archive"] = archives["caffenet"]
    params["networks"]["places205"]["placescnn"]["archive"] = archives["placescnn"]
    for section in ("datasets", "networks"):
        del params[section]["cifar10"]
    digits = {}
    for split in ("train", "test"):
        for kind, name in (("images", "images-idx3"), ("labels", "labels-idx1")):
            file = f"t10k-{name}-ubyte.gz"
            digits[f"{split} {kind}"] = {
                "urls": server.serve(file, files[file]),
                "checksum": checksum(files[file]),
            }
    params["datasets"]["mnist"] |= {s: {"archives": digits} for s in ("train", "test")}
    lenet = params["networks"]["mnist"]["lenet"] | {"epochs": 1, "checkpoints": [10, 60, 157]}
    strided = params["networks"]["mnist"]["strided"] | {"epochs": 1}
    params["networks"]["mnist"] = {"lenet": lenet, "strided": strided}
    params["digits"] |= {"images": 40}
    # The controls are tested on small networks; here, that they run on the paper's.
    params["controls"] |= {
        "images": 2, "random_orders": 1, "removals": ["mean"], "places": 1, "explainers": []
    }  # fmt: skip
    training = params["checkpoints"].pop("cifar10")
    params["checkpoints"]["mnist"] = training | {"network": "lenet", "images": 10, "repeats": 1}
    params["explainers"] = ["deconvolution-l2", "lrp-alpha2-beta1", "random"]
    params["perturbation"] |= {"steps": 4, "repeats": 2, "random_orders": 2}
    params["limit"] = 3
    return params


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty clone of the repository; the paper profile's folder in it."""
    root = new_repository(tmp_path_factory.mktemp("clone"))
    folder = root / "profiles" / "paper"
    shutil.copytree(
        ROOT / "profiles" / "paper",
        folder,
        symlinks=True,  # as git clones them
        ignore=shutil.ignore_patterns("data", ".*"),
    )
    assert (folder / "dvc.yaml").is_symlink()
    return folder


def write(profile: Path, params: dict[str, Any]) -> None:
    (profile / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def repro(profile: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    return execute(profile.parents[1], "dvc", "repro", *(targets or ("profiles/paper/dvc.yaml",)))


def test_from_nothing_to_the_figures(profile: Path, server: FileServer, published: Published) -> None:
    write(profile, settings_for(server, published))
    # The connection breaks in the middle of the data and of the network.
    server.files["ilsvrc2012"].cut_after += [len(published.files["ilsvrc2012"]) // 2]
    server.files["caffenet"].cut_after += [100_000_000, 50_000_000]
    names = ran(repro(profile))
    stages = {name.rpartition("/")[2].rpartition(":")[2].partition("@")[0] for name in names}
    assert stages == {
        "datasets", "networks", "predict", "heatmaps", "perturbation", "controls", "complexity",
        "digits", "checkpoints", "claims", "figures", "publish",
    }  # fmt: skip
    asked = [r for name, r in server.requests if name == "caffenet"]
    assert asked == [None, "bytes=100000000-", "bytes=150000000-"]

    about = json.loads((profile / "data/datasets/ilsvrc2012/test/about.json").read_text())
    assert about["ids"] == [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 7)]
    assert about["files"] == {"ILSVRC2012_img_val.tar": checksum(published.files["ilsvrc2012"])}
    first = profile / "data/datasets/ilsvrc2012/test/images" / about["ids"][0]
    assert first.read_bytes() == published.ilsvrc[about["ids"][0]]
    about = json.loads((profile / "data/datasets/sun397/test/about.json").read_text())
    assert {i.rpartition("/")[0] for i in about["ids"]} <= {"abbey", "bakery/shop", "valley"}

    metrics = json.loads((profile / "reports/metrics.json").read_text())
    assert set(metrics) == {"ilsvrc2012", "sun397", "places205"}
    for found in metrics.values():
        assert found["lrp-alpha2-beta1"]["images"] == 3  # the limit
        assert found["lrp-alpha2-beta1"]["entropy"] > 0
        assert found["deconvolution-l2"]["png_kb"] > found["lrp-alpha2-beta1"]["png_kb"] > 0
    for name in ("figure1", "figure3", "figure4", "figure6-sun397", "figure7-mnist", "table1"):
        assert (profile / "reports/figures" / f"{name}.png").stat().st_size > 10_000
    assert "| **C1** LRP has the largest AOPC" in (profile / "README.md").read_text()
    claims = json.loads((profile / "reports/claims.json").read_text())
    assert claims["C11"]["verdict"] != "could not run"
    assert claims["C1"]["reading"] == "this profile has no heatmaps of sensitivity-l2"
    assert len((profile / "reports/index.html").read_bytes()) < 15_000_000
    assert json.loads((profile / "reports/checkpoints.json").read_text())["mnist"]["rho"] > 0

    network = torch.load(profile / "data/networks/places205/placescnn.pt", weights_only=True)
    assert network["preprocessing"]["mean"] == pytest.approx((110.0,) * 3)
    assert ran(repro(profile)) == []
    assert not (profile / ".dvc").exists()
    assert (profile.parents[1] / "mlflow.db").exists()


def failure(profile: Path, target: str) -> str:
    """Why the stage failed: one line of ours, no traceback, and none of its outputs."""
    done = repro(profile, f"profiles/paper/dvc.yaml:{target}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("aopc: ")]
    return line


def hostile(kind: str, published: Published) -> dict[str, Any]:
    """How the archive of ILSVRC2012 is served, and what its setting says."""
    whole = published.files["ilsvrc2012"]
    if kind == "wrong checksum":
        return {"content": whole, "checksum": checksum(b"another")}
    if kind == "truncated":
        return {"content": whole[: len(whole) * 2 // 3], "checksum": None}
    if kind == "corrupt JPEG":
        members = dict(published.ilsvrc)
        name = "ILSVRC2012_val_00000002.JPEG"
        members[name] = members[name][:5000] + bytes(100)
        return {"content": tar(members, "w"), "checksum": None}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("ILSVRC2012_val_00000001.JPEG")
        if kind == "links":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        else:
            prefix = {"../": "../../../", "absolute paths": "/tmp/aopc-hostile/"}[kind]
            info.name = prefix + info.name
            info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    return {"content": buffer.getvalue(), "checksum": None}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wrong checksum", "has another file: its checksum is md5:"),
        ("truncated", "is damaged or cut off"),
        ("../", "not safe"),
        ("absolute paths", "not safe"),
        ("links", "not safe"),
        ("corrupt JPEG", "cannot read the image"),
    ],
)
def test_bad_archives_end_in_one_line_and_leave_nothing(
    profile: Path, server: FileServer, published: Published, kind: str, said: str
) -> None:
    params = settings_for(server, published)
    bad = hostile(kind, published)
    shutil.rmtree(profile.parents[1] / "data" / "downloads", ignore_errors=True)
    url = server.serve("bad", bad["content"])
    params["datasets"]["ilsvrc2012"]["test"]["archive"] = {
        "urls": [url],
        "checksum": bad["checksum"],
    }
    write(profile, params)
    message = failure(profile, "datasets@ilsvrc2012")
    assert said in message
    assert not (profile / "data/datasets/ilsvrc2012/test/about.json").exists()
    root = profile.parents[1]
    assert not list(root.rglob("*evil*"))
    assert not Path("/tmp/aopc-hostile").exists()
    # With the right archive the same command goes through.
    (root / "data" / "downloads" / "ILSVRC2012_img_val.tar").unlink(missing_ok=True)
    write(profile, settings_for(server, published))
    done = repro(profile, "--force", "profiles/paper/dvc.yaml:datasets@ilsvrc2012")
    assert ran(done) == ["profiles/paper/dvc.yaml:datasets@ilsvrc2012"]


def test_without_an_account_the_stage_says_what_to_do(profile: Path, server: FileServer, published: Published) -> None:
    params = settings_for(server, published)
    params["datasets"]["ilsvrc2012"]["test"] = {"count": 6}
    shutil.rmtree(profile.parents[1] / "data" / "downloads", ignore_errors=True)
    write(profile, params)
    message = failure(profile, "datasets@ilsvrc2012")
    for part in ("ILSVRC2012_img_val.tar", "6744924160", "29b22e29", "image-net.org", "`folder`"):
        assert part in message
