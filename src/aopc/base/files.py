"""Result files: tidy Parquet tables, arrays, JSON and CSV.

All writing goes to a temporary name first and is renamed, so a file is whole or not there.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aopc.base.errors import InputError

_METADATA_KEY = b"aopc"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, of the same suffix, to write to; renamed to ``path`` if all went well.

    Raises
    ------
    InputError
        If the file cannot be written there.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def table_origin(path: Path) -> dict[str, Any]:
    """The ``origin`` that :func:`write_table` was given; empty where there is no such file."""
    found = (pq.read_schema(path).metadata or {}) if path.is_file() else {}
    return dict(json.loads(found.get(_METADATA_KEY, b"{}")))


def write_table(path: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]], origin: Mapping[str, Any]) -> None:
    """Write columns of equal length as Parquet, with ``origin`` (of :mod:`aopc.base.provenance`) in its schema.

    An array of two dimensions becomes a column of lists.
    """
    table = pa.table({name: _column(values) for name, values in columns.items()})
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(_metadata(origin)), temporary, compression="zstd")


def join_tables(path: Path, parts: Sequence[Path], origin: Mapping[str, Any]) -> None:
    """Write the rows of several Parquet files with the same columns as one, part by part."""
    schema = pq.read_schema(parts[0]).with_metadata(_metadata(origin))
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as file:
        for part in parts:
            file.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))


def _metadata(origin: Mapping[str, Any]) -> dict[bytes, str]:
    return {_METADATA_KEY: json.dumps(dict(origin))}


def _column(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array(values)


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a Parquet file; a column of lists as an array of two dimensions."""
    table = pq.read_table(path)
    return {name: _values(table[name].combine_chunks()) for name in table.column_names}


def _values(column: pa.Array) -> NDArray[Any]:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if pa.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), column.type.list_size)
    return column.to_numpy(zero_copy_only=False)


def concatenated(tables: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The rows of several tables with the same columns."""
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length as CSV, numbers with six significant digits, NaN as an empty cell."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(_cell, row) for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return f"{value:.6g}" if value == value else ""


def read_csv(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of what :func:`write_csv` wrote; an empty cell is NaN."""
    import pandas as pd

    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return {str(name): table[name].to_numpy() for name in table.columns}


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write an array as ``.npy``, readable as a memory map."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)


def join_arrays(path: Path, parts: Sequence[Path]) -> None:
    """Write the rows of several ``.npy`` files as one, part by part."""
    shapes = [read_array(part).shape for part in parts]
    whole = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    with atomic(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": whole}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(read_array(part), dtype="<f4").tobytes())


def read_array(path: Path) -> NDArray[Any]:
    """A memory map of an ``.npy`` file."""
    return np.load(path, mmap_mode="r")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, one value a line, keys in their own order, NaN as null."""
    text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and content != content else content


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
