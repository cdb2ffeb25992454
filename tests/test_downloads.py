"""Downloads that meet the real world, on loopback; archives, whole, cut and hostile."""

import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.datasets.subset import Subset
from aopc.downloads import fetch as fetching
from aopc.downloads.archives import read_members, unpack_subset
from aopc.downloads.fetch import File, fetch
from aopc.downloads.source import Source
from aopc.errors import InputError
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
def test_servers_without_ranges_start_again(
    server: FileServer, tmp_path: Path, length: bool
) -> None:
    """Where no length is said either, only the checksum shows that the file was cut off."""
    url = server.serve("data.bin", CONTENT, cut_after=[1000], ranges=False, length=length)
    assert fetch(source(url), tmp_path).path.read_bytes() == CONTENT


def test_a_later_call_goes_on_after_a_kill(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("data.bin", CONTENT, cut_after=[2_000_000])
    script = (
        "import os, sys, pathlib, aopc.downloads.fetch as f\n"
        "from aopc.downloads.source import Source\n"
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


def test_editions_that_nothing_tells_apart_are_not_joined(
    server: FileServer, tmp_path: Path
) -> None:
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


def test_settings_replace_parts_of_a_source() -> None:
    ours = source("http://a").changed({"urls": "http://b"}, "x")
    assert ours.urls == ("http://b",)
    assert (ours.checksum, ours.size) == (MD5, len(CONTENT))
    upper = source().changed({"checksum": MD5.upper()}, "x")
    assert (upper.checksum, upper.size) == (MD5, None)
    for wrong in ("d41d8cd98f00b204e9800998ecf8427e", "crc32:00000000", "md5:12", 5):
        with pytest.raises(InputError, match="a checksum is md5, sha1"):
            source().changed({"checksum": wrong}, "x")
    for wrong in (5, "ftp://a", [None]):
        with pytest.raises(InputError, match="must be http or https"):
            source().changed({"urls": wrong}, "x")
    with pytest.raises(InputError, match="did you mean 'urls'"):
        source().changed({"url": "http://b"}, "the archive")


# --- archives ------------------------------------------------------------------------------


def archive(path: Path, members: list[tuple[str, bytes]], mode: str = "w:gz") -> File:
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return File(path, "md5:0")


def images(count: int) -> list[tuple[str, bytes]]:
    return [(f"top/{i:03d}.jpg", f"image {i}".encode() * 50) for i in range(count)]


def jpegs(name: str) -> str | None:
    return name.rpartition("/")[2] if name.endswith(".jpg") else None


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(12)),
    count=st.integers(1, 12),
    rule=st.sampled_from(["first", "sample"]),
)
def test_the_subset_does_not_depend_on_the_archives_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], count: int, rule: str
) -> None:
    folder = tmp_path_factory.mktemp("a")
    content = dict(images(12))
    names = list(content)
    file = archive(folder / "x.tar.gz", [(names[i], content[names[i]]) for i in order])
    subset = Subset(count, rule, 3)  # type: ignore[arg-type]
    root, ids = unpack_subset(file, folder / "cache", jpegs, subset)
    assert ids == subset.of(n.rpartition("/")[2] for n in names)
    assert len(ids) == count
    for image_id in ids:
        assert (root / image_id).read_bytes() == content[f"top/{image_id}"]
    assert sorted(p.name for p in root.iterdir()) == ids
    if rule == "first":
        assert ids == [f"{i:03d}.jpg" for i in range(count)]


def test_samples_are_uniform() -> None:
    """Each image in 1/4 of 2000 samples, within five standard deviations."""
    names = [f"{i}.jpg" for i in range(20)]
    chosen = [name for seed in range(2000) for name in Subset(5, "sample", seed).of(names)]
    for name in names:
        assert abs(chosen.count(name) - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", images(5))
    first = unpack_subset(file, tmp_path / "cache", jpegs, Subset(2, "first"))
    file.path.unlink()
    assert unpack_subset(file, tmp_path / "cache", jpegs, Subset(2, "first")) == first
    with pytest.raises(InputError, match="there is no archive"):
        unpack_subset(file, tmp_path / "cache", jpegs, Subset(3, "first"))


def refusal(file: File, tmp_path: Path, count: int = 5) -> str:
    with pytest.raises(InputError) as error:
        unpack_subset(file, tmp_path / "cache", jpegs, Subset(count, "sample", 0))
    message = str(error.value)
    assert "\n" not in message
    assert str(file.path) in message
    left = [p for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"]
    assert left == []  # nothing half-unpacked stays
    return message


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_cut_off_anywhere_are_refused(tmp_path: Path, mode: str) -> None:
    noise = random.Random(0)
    members = [(name, noise.randbytes(5120)) for name, _ in images(5)]
    file = archive(tmp_path / "x.tar", members, mode)
    whole = file.path.read_bytes()
    used = 5 * (512 + 5120)
    for length in [0, 100, *range(512, used + 1, 512), used - 700]:
        file.path.write_bytes(
            whole[: length if mode == "w" else len(whole) * length // (used + 512)]
        )
        message = refusal(file, tmp_path)
        assert "cut off" in message


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", images(200))
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    file.path.write_bytes(content)
    assert "damaged" in refusal(file, tmp_path, 200)


def test_something_else_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(b"<html>Please log in</html>" * 100)
    assert "damaged" in refusal(File(path, ""), tmp_path)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("../evil.jpg"),
        member("top/../../evil.jpg"),
        member("/tmp/evil.jpg"),
        member("C:\\evil.jpg"),
        member("top\\..\\evil.jpg"),
        member("top/link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        member("top/hard.jpg", tarfile.LNKTYPE, "../../evil"),
        member("top/pipe.jpg", tarfile.FIFOTYPE),
        member("top/device.jpg", tarfile.CHRTYPE),
    ],
    ids=lambda m: m.name,
)
def test_hostile_members_are_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    path = tmp_path / "inner" / "x.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in images(3):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.addfile(hostile)
    message = refusal(File(path, ""), path.parent, 2)
    assert "not safe" in message
    files = {p.name for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"}
    assert files == {"x.tar.gz"}


def test_the_same_image_twice_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", [*images(3), images(1)[0]])
    assert "000.jpg twice" in refusal(file, tmp_path, 3)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that declares a gigantic name, and an image far beyond any image's size."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    assert "a header of 8589934592 bytes" in refusal(File(tmp_path / "a.tar", ""), tmp_path)
    monkeypatch.setattr("aopc.downloads.archives.LARGEST_IMAGE", 1000)
    file = archive(tmp_path / "b.tar.gz", [("top/big.jpg", bytes(1001)), *images(5)])
    assert "that is no image" in refusal(file, tmp_path)


def long_names(count: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    return (info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512) * count


def global_headers(count: int) -> bytes:
    return b"".join(
        tarfile.TarInfo.create_pax_global_header({f"k{i}": "x" * 5000}) for i in range(count)
    )


@pytest.mark.parametrize(
    "content", [long_names(2000), global_headers(2000)], ids=["long", "global"]
)
def test_endless_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content + bytes(1024))
    assert "in a row" in refusal(File(path, ""), tmp_path)


def test_sparse_files_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("top/a.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "sparse" in refusal(File(path, ""), tmp_path)


def test_a_changed_folder_of_images_is_noticed(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", images(5))
    root, ids = unpack_subset(file, tmp_path / "cache", jpegs, Subset(3, "first"))
    (root / ids[0]).unlink()
    with pytest.raises(InputError, match="holds 2 files instead of 3"):
        unpack_subset(file, tmp_path / "cache", jpegs, Subset(3, "first"))


def test_members_of_small_archives_are_read(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", [("a/one", b"1"), ("a/b/two", b"2"), ("three", b"3")])
    assert read_members(file, {"two", "three"}) == {"two": b"2", "three": b"3"}
    with pytest.raises(InputError, match="lacks four"):
        read_members(file, {"one", "four"})


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    """40,000 members of 10 KB: tarfile alone would keep a header of each."""

    def peak(members: int) -> int:
        path = tmp_path / f"{members}.tar"
        with tarfile.open(path, "w") as tar:
            for i in range(members):
                info = tarfile.TarInfo(f"top/{i:06d}.jpg")
                info.size = 10_000
                tar.addfile(info, io.BytesIO(bytes(10_000)))
        script = (
            "import resource, sys, pathlib\n"
            "from aopc.downloads.archives import unpack_subset\n"
            "from aopc.downloads.fetch import File\n"
            "from aopc.datasets.subset import Subset\n"
            "def name(n): return n[4:]\n"
            "unpack_subset(File(pathlib.Path(sys.argv[1]), ''), pathlib.Path(sys.argv[1] + '.out'),"
            " name, Subset(50, 'sample', 0))\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        (tmp_path / "unpack.py").write_text(script)
        done = subprocess.run(
            [sys.executable, "unpack.py", str(path)],
            cwd=tmp_path, capture_output=True, text=True, check=True,
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip
        path.unlink()
        return int(done.stdout)

    assert peak(40_000) - peak(4_000) < 8_000  # kilobytes; 36,000 headers take 40,000
