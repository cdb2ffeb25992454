"""Subsets out of archives: whole, cut off, damaged and hostile."""

import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.base.errors import InputError
from aopc.data.downloads.archives import read_members, unpack_subset
from aopc.data.downloads.fetch import File
from aopc.data.subset import Subset


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
        file.path.write_bytes(whole[: length if mode == "w" else len(whole) * length // (used + 512)])
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
    monkeypatch.setattr("aopc.data.downloads.archives.LARGEST_IMAGE", 1000)
    file = archive(tmp_path / "b.tar.gz", [("top/big.jpg", bytes(1001)), *images(5)])
    assert "that is no image" in refusal(file, tmp_path)


def long_names(count: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    return (info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512) * count


def global_headers(count: int) -> bytes:
    return b"".join(tarfile.TarInfo.create_pax_global_header({f"k{i}": "x" * 5000}) for i in range(count))


@pytest.mark.parametrize("content", [long_names(2000), global_headers(2000)], ids=["long", "global"])
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
    whole = (root / ids[1]).read_bytes()
    (root / ids[1]).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="something changed an image"):
        unpack_subset(file, tmp_path / "cache", jpegs, Subset(3, "first"))
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
            "from aopc.data.downloads.archives import unpack_subset\n"
            "from aopc.data.downloads.fetch import File\n"
            "from aopc.data.subset import Subset\n"
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
