"""One changed bit shows, and so does a file of the right kind at the wrong place."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aopc.base.errors import DamagedError
from aopc.base.files import (
    read_array,
    read_bytes,
    read_csv,
    read_json,
    read_record,
    read_table,
    write_array,
    write_bytes,
    write_record,
    write_table,
)
from killed import damages

VALUES = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
#: Suffix → (writes, reads).
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    ".parquet": (lambda path: write_table(path, {"name": list("abc"), "x": VALUES}, {"code": "c"}), read_table),
    ".npy": (lambda path: write_array(path, VALUES, {"code": "c"}), read_array),
    ".json": (lambda path: write_record(path, {"ids": ["a", "b"], "x": float("nan")}), read_record),
    ".pt": (lambda path: write_bytes(path, b"PK" + bytes(range(256))), read_bytes),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_flipped_bits_and_cuts_are_noticed(tmp_path: Path, suffix: str) -> None:
    write, read = KINDS[suffix]
    path = tmp_path / f"a{suffix}"
    write(path)
    content = path.read_bytes()
    read(path)
    cuts = [(f"cut off at {length}", content[:length]) for length in range(0, len(content), 9)]
    believed = []
    for what, damaged in [*damages(content, flips=600), *cuts]:
        path.write_bytes(damaged)
        try:
            read(path)
            believed.append(what)
        except DamagedError as error:
            believed += [] if "is damaged" in str(error) else [str(error)]
    assert believed == []
    path.write_bytes(content)
    read(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_not_a_whole_file_of_ours_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    _, read = KINDS[suffix]
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"link{suffix}").symlink_to(tmp_path / "nowhere")
    for name in ("missing", "folder", "link"):
        with pytest.raises(DamagedError, match=f"{name}{suffix}") as caught:
            read(tmp_path / f"{name}{suffix}")
        assert "\n" not in str(caught.value)
        assert caught.value.path == tmp_path / f"{name}{suffix}"


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    """Whole ones of their kind: a digest is no matter of luck."""
    np.save(tmp_path / "a.npy", VALUES)
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text('{"digest": "sha256:0", "files": {}}')
    torch.save({}, tmp_path / "a.pt")
    for suffix, (_, read) in KINDS.items():
        with pytest.raises(DamagedError, match="is damaged"):
            read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_exchanged_files_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, other: str) -> None:
    """Of the pipeline, whose files have one place; and whatever their kind."""
    monkeypatch.chdir(tmp_path)
    one, two = Path("data/curves/objects") / f"a{suffix}", Path("data/curves/scenes") / f"a{other}"
    KINDS[suffix][0](one)
    KINDS[other][0](two)
    shutil.copy(one, two)
    with pytest.raises(DamagedError, match=f"data/curves/objects/a{suffix}|another file"):
        KINDS[other][1](two)
    KINDS[suffix][1](one)
    KINDS[suffix][1](one.absolute())


def test_a_folder_that_is_not_the_pipelines_may_be_moved(tmp_path: Path) -> None:
    for suffix, (write, read) in KINDS.items():
        write(tmp_path / "results" / f"a{suffix}")
        shutil.copytree(tmp_path / "results", tmp_path / "moved", dirs_exist_ok=True)
        read(tmp_path / "moved" / f"a{suffix}")
        (tmp_path / "moved" / f"a{suffix}").rename(tmp_path / "moved" / f"b{suffix}")
        with pytest.raises(DamagedError, match=f"it was written as a{suffix}"):
            read(tmp_path / "moved" / f"b{suffix}")


def test_the_formats_stay_what_they_are(tmp_path: Path) -> None:
    """Other programs read the same values."""
    for suffix, (write, _) in KINDS.items():
        write(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), VALUES)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), VALUES)
    table = pd.read_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(np.stack(table["x"].to_list()), VALUES)
    assert read_json(tmp_path / "a.json")["ids"] == ["a", "b"]
    torch.save({"x": torch.from_numpy(VALUES)}, tmp_path / "plain.pt")
    write_bytes(tmp_path / "net.pt", (tmp_path / "plain.pt").read_bytes())
    np.testing.assert_array_equal(torch.load(tmp_path / "net.pt", weights_only=True)["x"].numpy(), VALUES)


def test_damage_is_noticed_after_a_file_was_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, VALUES)
    read_array(path)
    content = bytearray(path.read_bytes())
    content[130] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_array(path)


def test_published_text_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    for name, content in (("a.json", b'{"a": '), ("b.json", b"\xff"), ("a.csv", b""), ("b.csv", b"a\n1,2\n3,4,5\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedError, match=f"{name} is damaged"):
            (read_json if name.endswith("json") else read_csv)(tmp_path / name)
    for read, name in ((read_json, "c.json"), (read_csv, "c.csv")):
        with pytest.raises(DamagedError, match="is missing"):
            read(tmp_path / name)


def test_the_error_comes_through_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(DamagedError(Path("data/a"), "is damaged")))
    assert (str(error), error.path) == ("data/a is damaged", Path("data/a"))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(DamagedError, match="is no file"):
        read_record(tmp_path / "x.json")
