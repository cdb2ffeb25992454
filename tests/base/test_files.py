"""Result files are whole or not there, and give back what was written."""

from pathlib import Path

import numpy as np
import pytest

from aopc.base.errors import DamagedError, InputError
from aopc.base.files import (
    atomic,
    join_arrays,
    join_tables,
    origin_of,
    read_array,
    read_csv,
    read_json,
    read_table,
    write_array,
    write_csv,
    write_json,
    write_table,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with atomic(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/below"):
        write_json(tmp_path / "file" / "below.json", {})


def test_tables_come_back_with_their_origin(tmp_path: Path) -> None:
    columns = {
        "name": ["a", "b"],
        "value": np.array([1.5, np.nan]),
        "curve": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    path = tmp_path / "a.parquet"
    write_table(path, columns, {"code": "x", "parameters": {"steps": 3}})
    found = read_table(path)
    assert found["name"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(found["value"], columns["value"])
    np.testing.assert_array_equal(found["curve"], columns["curve"])
    assert found["curve"].dtype == np.float32
    assert origin_of(path) == {"code": "x", "parameters": {"steps": 3}}
    with pytest.raises(DamagedError, match="is missing"):
        origin_of(tmp_path / "none.parquet")


def test_parts_are_joined_row_by_row(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.float32).reshape(5, 4)
    tables, arrays = [], []
    for i, part in enumerate((slice(0, 2), slice(2, 5))):
        tables.append(tmp_path / f"{i}.parquet")
        arrays.append(tmp_path / f"{i}.npy")
        write_table(tables[-1], {"row": list(range(5))[part], "x": values[part]}, {"part": i})
        write_array(arrays[-1], values[part])
    join_tables(tmp_path / "all.parquet", tables, {"whole": True})
    join_arrays(tmp_path / "all.npy", arrays, {"whole": 1})
    found = read_table(tmp_path / "all.parquet")
    assert found["row"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found["x"], values)
    assert origin_of(tmp_path / "all.parquet") == {"whole": True}
    np.testing.assert_array_equal(read_array(tmp_path / "all.npy"), values)
    assert isinstance(read_array(tmp_path / "all.npy"), np.memmap)


def test_nan_is_an_empty_cell_and_null(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", {"name": ["a", "None"], "x": [float("nan"), 1 / 3]})
    assert (tmp_path / "a.csv").read_text() == "name,x\na,\nNone,0.333333\n"
    found = read_csv(tmp_path / "a.csv")
    assert found["name"].tolist() == ["a", "None"]
    np.testing.assert_array_equal(found["x"], [np.nan, 0.333333])
    write_json(tmp_path / "a.json", {"x": [float("nan"), 1.0], "y": {"z": None}})
    assert read_json(tmp_path / "a.json") == {"x": [None, 1.0], "y": {"z": None}}
