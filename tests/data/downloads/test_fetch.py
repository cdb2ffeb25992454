"""Downloads that meet the real world, on loopback."""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.data.downloads import fetch as fetching
from aopc.data.downloads.fetch import File, fetch
from aopc.data.downloads.source import Source
from file_server import FileServer, file_server

CONTENT = random.Random(0).randbytes(3_000_000)


MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(fetching, "BACK_OFF", 0.001)
    with file_server() as running:
        yield running


def source(*urls: str, **changes: object) -> Source:
    settings = {"checksum": MD5, "size": len(CONTENT), **changes}
    return Source("data.bin", "http://example.org/data", "free", urls, **settings)  # type: ignore[arg-type]


def left_over(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if not p.name.endswith(".lock")}


def test_a_file_arrives_whole_and_once(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT)
    file = fetch(source(url), tmp_path)
    assert file == File(tmp_path / "data.bin", MD5)
    assert file.path.read_bytes() == CONTENT
    assert left_over(tmp_path) == {"data.bin", ".data.bin.checked.json"}
    assert fetch(source(url), tmp_path) == file
    assert len(server.requests) == 1


def test_broken_connections_are_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT, cut_after=[1_100_000, 5, 700_000])
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT
    asked = [r for _, r in server.requests]
    assert asked[0] is None
    assert asked[1:] == ["bytes=1100000-", "bytes=1100005-", "bytes=1800005-"]


@pytest.mark.parametrize("length", [True, False])
def test_servers_without_ranges_start_again(server: FileServer, tmp_path: Path, length: bool) -> None:
    """Where no length is said either, only the checksum shows that the file was cut off."""
    url = server.serve("data.bin", CONTENT, cut_after=[1000], ranges=False, length=length)
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT


def test_a_later_call_goes_on_after_a_kill(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT, cut_after=[2_000_000])
    script = (
        "import os, sys, pathlib, aopc.data.downloads.fetch as f\n"
        "from aopc.data.downloads.source import Source\n"
        "f.time.sleep = lambda seconds: os._exit(9)\n"
        "f.fetch(Source('data.bin', '', '', (sys.argv[1],), checksum=sys.argv[2]), pathlib.Path('.'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, url, MD5], cwd=tmp_path, check=False)
    assert done.returncode == 9
    assert (tmp_path / "data.bin.part").stat().st_size == 2_000_000
    assert not (tmp_path / "data.bin").exists()
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=2000000-"


def test_mirrors_are_tried_in_turn(server: FileServer, tmp_path: Path) -> None:
    urls = [
        "http://127.0.0.1:9/data.bin",  # nobody listens there
        f"{server.url}/none",
        server.serve("page", b"<html>", kind="text/html; charset=utf-8"),
        server.serve("short", CONTENT[:-1]),
        server.serve("other", CONTENT[::-1]),
        server.serve("busy", CONTENT, statuses=[503, 429]),
    ]
    assert fetch(source(*urls), tmp_path).path.read_bytes() == CONTENT


def test_when_no_mirror_delivers_each_reason_is_said(server: FileServer, tmp_path: Path) -> None:
    urls = [
        "http://127.0.0.1:9/data.bin",
        f"{server.url}/none",
        server.serve("page", b"<html>", kind="text/html"),
        server.serve("short", CONTENT[:-1]),
        server.serve("other", CONTENT[::-1]),
        server.serve("dead", CONTENT, statuses=[500] * 50),
    ]
    with pytest.raises(InputError) as error:
        fetch(source(*urls), tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for reason in (
        "does not deliver",
        "status 404",
        "a web page, not the file",
        "has a file of 2999999 bytes, not 3000000",
        "its checksum is md5:",
        "status 500",
        "See http://example.org/data",
        str(tmp_path),
    ):
        assert reason in message
    assert not {name for name in left_over(tmp_path) if not name.startswith(".")}


def test_a_part_of_another_file_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1_000_000)
    url = server.serve("data.bin", CONTENT)
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT
    assert [r for _, r in server.requests] == ["bytes=1000000-", None]


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"x")
    url = server.serve("data.bin", CONTENT)
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT


def test_a_whole_part_needs_no_second_download(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    url = server.serve("data.bin", CONTENT)
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT
    assert server.requests == []


def test_a_wrong_file_is_not_fetched_again_and_again(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT[::-1], cut_after=[1_000_000] * 30)
    with pytest.raises(InputError, match="another file: its checksum"):
        fetch(source(url), tmp_path)
    assert len(server.requests) < 15


def test_an_endless_answer_is_cut(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT * 5, length=False)
    with pytest.raises(InputError, match="sends more than the 3000000 bytes"):
        fetch(source(url), tmp_path)
    assert (tmp_path / "data.bin.part").stat().st_size <= len(CONTENT)


def test_editions_that_nothing_tells_apart_are_not_joined(server: FileServer, tmp_path: Path) -> None:
    """No checksum, no ETag, no date: what had arrived is not gone on with."""
    url = server.serve("data.bin", CONTENT, cut_after=[1_000_000], etag="")
    assert fetch(source(url, checksum=None), tmp_path).path.read_bytes() == CONTENT
    assert [r for _, r in server.requests] == [None, None]


def test_a_server_that_goes_on_elsewhere_is_noticed(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT, cut_after=[1000], ranges="wrong")
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT


def test_a_file_that_changes_meanwhile_starts_again(server: FileServer, tmp_path: Path) -> None:
    """Without a checksum only the ETag tells two editions apart."""
    url = server.serve("data.bin", CONTENT, cut_after=[1_000_000], statuses=[])
    new = CONTENT[::-1]
    original = fetching.time.sleep

    def change(seconds: float) -> None:
        server.serve("data.bin", new, etag='"two"')
        original(0)

    fetching.time.sleep, file = change, None  # type: ignore[assignment]
    try:
        file = fetch(source(url, checksum=None), tmp_path)
    finally:
        fetching.time.sleep = original
    assert file.path.read_bytes() == new
    assert file.checksum == "sha256:" + hashlib.sha256(new).hexdigest()


def test_two_mirrors_are_not_mixed_without_a_checksum(server: FileServer, tmp_path: Path) -> None:
    first = server.serve("a", CONTENT, cut_after=[1_000_000], statuses=[])
    server.files["a"].cut_after += [0] * 50
    second = server.serve("b", CONTENT[::-1])
    file = fetch(source(first, second, checksum=None), tmp_path)
    assert file.path.read_bytes() == CONTENT[::-1]


def test_the_users_own_file_is_checked_once(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    by_hand = source()
    assert fetch(by_hand, tmp_path).path == path
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(InputError, match="is not the published file: its checksum is md5"):
        fetch(by_hand, tmp_path)
    path.write_bytes(CONTENT[:-5])
    with pytest.raises(InputError, match="it has 2999995 bytes, the published file 3000000"):
        fetch(by_hand, tmp_path)
    assert path.exists()  # what the user put there is the user's to remove


def test_what_needs_an_account_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        fetch(source(), tmp_path / "downloads")
    message = str(error.value)
    for part in ("data.bin", "3.0 MB (3000000 bytes)", MD5.replace(":", " "), "example.org"):
        assert part in message
    assert str(tmp_path / "downloads") in message


def test_a_full_disk_is_said_before_the_download(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = fetching.shutil.disk_usage(tmp_path)._replace(free=fetching.SPARE_BYTES + 1_000_000)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    url = server.serve("data.bin", CONTENT)
    with pytest.raises(InputError, match=r"needs 271\.4 MB more on the disk"):
        fetch(source(url), tmp_path)
    assert not (tmp_path / "data.bin.part").exists()


def test_a_file_that_was_changed_under_its_old_date_is_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    assert fetch(source(), tmp_path).path == path
    date = path.stat().st_mtime_ns
    path.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    os.utime(path, ns=(date, date))
    with pytest.raises(InputError, match="is not the published file"):
        fetch(source(), tmp_path)
