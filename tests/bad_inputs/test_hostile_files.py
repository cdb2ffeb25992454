"""Files from elsewhere: they run no code, take no more memory than they should, and give no secret away."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aopc.base.errors import InputError
from aopc.base.provenance import metadata
from aopc.data.downloads.archives import LARGEST_RATIO, read_members
from aopc.data.downloads.fetch import File, fetch
from aopc.data.downloads.source import Source
from aopc.models.network import Layout, Network, save_network, stored_network
from aopc.models.preprocessing import Preprocessing
from aopc.paper.forecast import Needed, _downloads
from aopc.paper.tracking.pending import PendingRuns, StageRun
from aopc.paper.tracking.store import _link, log_pending

GREY = Preprocessing("L", (0.5,), (0.3,), 1.0)
SECRET = "h/u@nter2"


def stored(path: Path, architecture: str, **settings: Any) -> Path:
    content = Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), GREY)
    save_network(path, content, Layout(architecture, 2, settings))
    return path


def own(*, classes: int) -> nn.Module:
    """An architecture of the user's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(4, classes))


@pytest.mark.parametrize(
    "architecture",
    [
        "torch.hub:load",
        "os:system",
        "subprocess:run",
        "builtins:exec",
        "test_hostile_files:own",
        "../x:y",
        "nothing",
        "",
        5,
    ],
)
def test_a_file_names_no_code(tmp_path: Path, architecture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    with pytest.raises(InputError, match="wants to be built by") as caught:
        stored_network(stored(tmp_path / "net.pt", architecture))
    assert len(caught.value.mistakes) == 1
    # Nor where the user's settings name another.
    with pytest.raises(InputError, match="but the settings name 'digit-lenet'"):
        stored_network(stored(tmp_path / "net.pt", architecture), "digit-lenet")
    assert imported == []


def test_what_the_settings_name_too_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_own.py").write_text(
        "from torch import nn\n\n\ndef own(*, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = stored(tmp_path / "net.pt", "users_own:own")
    assert stored_network(file, "users_own:own").model(torch.zeros(1, 1, 2, 2)).shape == (1, 2)
    with pytest.raises(InputError, match="wants to be built by"):
        stored_network(file)


@pytest.mark.parametrize("content", [b"", b"no network", b"PK\3\4" + bytes(100)])
def test_what_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"is no network that this program stored|is damaged"):
        stored_network(tmp_path / "net.pt")
    torch.save({"architecture": "digit-lenet"}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"is no network that this program stored|is damaged"):
        stored_network(tmp_path / "net.pt")
    stored(tmp_path / "net.pt", "digit-lenet")
    with pytest.raises(InputError, match="does not fit its architecture digit-lenet"):
        stored_network(tmp_path / "net.pt")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_bombs_are_refused_before_they_fill_the_memory(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    buffer, size = io.BytesIO(), 2**24
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("skipped.bin", "wanted.jpg"):
            about = tarfile.TarInfo(name)
            about.size = size
            archive.addfile(about, io.BytesIO(bytes(size)))
    bomb = tmp_path / "bomb.tar"
    bomb.write_bytes(compress(buffer.getvalue()))
    del buffer
    assert bomb.stat().st_size * LARGEST_RATIO < 2 * size
    tracemalloc.start()
    with pytest.raises(InputError, match=f"more than {LARGEST_RATIO} times its size") as caught:
        read_members(File(bomb, "md5:0"), {"wanted.jpg"})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < size
    assert len(caught.value.mistakes) == 1


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_files_of_several_streams_are_read_whole(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """As pigz, pbzip2 and xz write them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        about = tarfile.TarInfo("a.bin")
        about.size = 3000
        archive.addfile(about, io.BytesIO(bytes(range(250)) * 12))
    content = buffer.getvalue()
    path = tmp_path / "several.tar"
    path.write_bytes(compress(content[:1700]) + compress(content[1700:]))
    assert read_members(File(path, "md5:0"), {"a.bin"}) == {"a.bin": bytes(range(250)) * 12}
    path.write_bytes(compress(content)[:-9])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_members(File(path, "md5:0"), {"b.bin"})


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", "", ".x", "a\0b", 5])
def test_an_archive_stays_in_its_folder(tmp_path: Path, name: Any) -> None:
    with pytest.raises(InputError, match=r"cannot be the name of a file|must be a text"):
        Source("a.tar", "http://page", "free").changed({"name": name}, "the archive of x")


ADDRESSES = [
    f"https://me:{SECRET}@127.0.0.1:9/path",
    f"http://{SECRET.replace('/', '')}@127.0.0.1:9",
    f"http://127.0.0.1:9/?token={SECRET}",
    f"postgresql://me:{SECRET}@127.0.0.1:9/db",
    f"mysql+pymysql://me:{SECRET}@127.0.0.1/db?ssl_key={SECRET}",
]


def leaks(text: str) -> bool:
    return SECRET in text or "nter2" in text


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_password_of_the_store_stays_out_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    def failing(uri: str, *more: Any) -> None:
        assert uri == address
        raise OSError(f"cannot connect to {uri}")

    monkeypatch.setattr("aopc.paper.tracking.store._log", failing)
    pending = PendingRuns(tmp_path / "pending")
    pending.append(StageRun("claims", params={"a": {"urls": [address]}}, tags={"b": address}))
    pending.keep(StageRun("claims", params={"a": address}), f"{address}/x")
    said = log_pending(pending, {"a": address}, [])
    assert "could not log" in said
    print(said, _link(address, "1", "2"), InputError(address))
    everything = [*capfd.readouterr(), *(p.read_text() for p in tmp_path.rglob("*.json"))]
    assert len(everything) > 3
    assert not any(map(leaks, everything)), everything
    assert _link("https://me:x@host:5000/a/?t=1", "1", "2") == "https://host:5000/a/#/experiments/1/runs/2"


@pytest.mark.parametrize("address", ADDRESSES[:3])
def test_a_password_of_a_mirror_stays_out_of_everything(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("aopc.data.downloads.fetch.FRUITLESS_TRIES", 1)
    source = Source("a.bin", "http://page", "free").changed({"urls": address}, "x")
    with pytest.raises(InputError) as caught:
        fetch(source, tmp_path)
    print(caught.value, *_downloads([Needed(source, tmp_path)]))
    print(json.dumps(metadata({"archive": {"urls": [address]}}, "aopc.base.errors")))
    everything = [*capfd.readouterr(), *(p.read_text() for p in tmp_path.rglob("*") if p.is_file())]
    assert not any(map(leaks, everything)), everything
    with pytest.raises(InputError) as caught:
        source.changed({"urls": f"ftp://me:{SECRET}@host"}, "x")
    assert not leaks(str(caught.value))
