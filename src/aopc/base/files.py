"""Result files: tidy Parquet tables, arrays, JSON and CSV.

All writing goes to a temporary name first, to the disk, and is renamed, so a file is whole or not there, also after a
failure of power. Tables, arrays and records are sealed (:mod:`aopc.base.sealed`): reading raises a DamagedError where one
is not what was written, or lies where another belongs. What is published as plain text is not: CSV and JSON.
"""

import csv
import glob
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aopc.base import sealed
from aopc.base.errors import DamagedError, InputError

_METADATA_KEY = b"aopc"


@contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path``, of the same suffix, to write to; renamed to ``path`` if all went well.

    ``durable``: on the disk before it is renamed, so that a failure of power leaves the old file or the new one; for what
    is computed again where it is damaged that is not worth the time.

    Raises
    ------
    InputError
        If the file cannot be written there.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        yield temporary
        if durable:
            to_disk(temporary)
        temporary.replace(path)
        if durable:
            to_disk(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some file systems cannot do it for a folder.
        with suppress(OSError) if path.is_dir() else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether a process that is gone left it behind in :func:`atomic`."""
    found = re.match(r"\.(\d+)\..", path.name)
    if found is None or path.is_dir():
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is somebody else's process
        pass
    return False


def _remove_stale(path: Path) -> None:
    for other in path.parent.glob(f".*.{glob.escape(path.name)}"):
        if re.fullmatch(rf"\.\d+\.{re.escape(path.name)}", other.name) and is_temporary(other):
            other.unlink(missing_ok=True)


def origin_of(path: Path) -> dict[str, Any]:
    """What a table, an array or a record says about itself; a DamagedError if it is not whole, or not there."""
    if path.suffix == ".parquet":
        return sealed.without_seal(_table_seal(path))
    return read_record(path) if path.suffix == ".json" else sealed.without_seal(sealed.appended(path)[0])


def is_whole(path: Path) -> bool:
    """Whether a table, an array or a record is there and is what was written; where it is not that, it is said."""
    if not path.exists():
        return False
    try:
        origin_of(path)
    except DamagedError as error:
        print(f"aopc: {error}; it is made again", file=sys.stderr)
        return False
    return True


def digest_of(path: Path) -> str:
    """The digest of a table's or an array's content. Errors as of :func:`origin_of`."""
    seal = _table_seal(path) if path.suffix == ".parquet" else sealed.appended(path)[0]
    return str(seal["digest"])


def _table_seal(path: Path) -> dict[str, Any]:
    sealed.verify(path)
    try:
        text = pq.read_metadata(path).metadata[_METADATA_KEY]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(path, "is another file than belongs there: it is no table") from error
    return sealed.checked(path, text)


def write_table(
    path: Path,
    columns: Mapping[str, Sequence[Any] | NDArray[Any]],
    origin: Mapping[str, Any],
    *,
    durable: bool = True,
) -> None:
    """Write columns of equal length as Parquet, with ``origin`` (of :mod:`aopc.base.provenance`) in its schema.

    An array of two dimensions becomes a column of lists.
    """
    table = pa.table({name: _column(values) for name, values in columns.items()})
    table = table.replace_schema_metadata(_metadata(path, origin))
    with atomic(path, durable=durable) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        sealed.seal(temporary)


def join_tables(path: Path, parts: Sequence[Path], origin: Mapping[str, Any]) -> None:
    """Write the rows of several Parquet files with the same columns as one, part by part."""
    for part in parts:
        _table_seal(part)
    schema = pq.read_schema(parts[0]).with_metadata(_metadata(path, origin))
    with atomic(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as file:
            for part in parts:
                file.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))
        sealed.seal(temporary)


def _metadata(path: Path, origin: Mapping[str, Any]) -> dict[bytes, str]:
    return {_METADATA_KEY: sealed.description(path, origin)}


def _column(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array(values)


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a Parquet file; a column of lists as an array of two dimensions.

    Raises
    ------
    DamagedError
        If it is not there, is not what was written, or belongs elsewhere.
    """
    _table_seal(path)
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
    """The columns of what :func:`write_csv` wrote; an empty cell is NaN; a DamagedError if it is no CSV."""
    import pandas as pd

    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise DamagedError(path, "is missing") from error
    except (OSError, ValueError) as error:
        raise DamagedError(path, f"is damaged: it is no CSV ({_first_line(error)})") from error
    return {str(name): table[name].to_numpy() for name in table.columns}


def write_array(
    path: Path, values: NDArray[Any], origin: Mapping[str, Any] | None = None, *, durable: bool = True
) -> None:
    """Write an array as ``.npy``, readable as a memory map; ``origin`` and the digest follow the data."""
    with atomic(path, durable=durable) as temporary:
        with temporary.open("wb") as file:
            np.save(file, values)
        sealed.append(temporary, path, origin or {})


def join_arrays(path: Path, parts: Sequence[Path], origin: Mapping[str, Any]) -> None:
    """Write the rows of several ``.npy`` files as one, part by part."""
    shapes = [read_array(part).shape for part in parts]
    whole = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    with atomic(path) as temporary:
        with temporary.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": whole}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(read_array(part), dtype="<f4").tobytes())
        sealed.append(temporary, path, origin)


def read_array(path: Path) -> NDArray[Any]:
    """A memory map of an ``.npy`` file of ours. Errors as of :func:`read_table`."""
    sealed.appended(path)
    return np.load(path, mmap_mode="r")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of a format that lets bytes follow its own, as zip archives do, and so torch's files."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
        sealed.append(temporary, path, {})


def read_bytes(path: Path) -> bytes:
    """What :func:`write_bytes` was given. Errors as of :func:`read_table`."""
    _, end = sealed.appended(path)
    return path.read_bytes()[:end]


def write_record(path: Path, content: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write JSON that carries its digest, as the last key."""
    text = sealed.description(path, _without_nan(dict(content)), indent=1)
    with atomic(path, durable=durable) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
        sealed.seal(temporary)


def read_record(path: Path) -> dict[str, Any]:
    """The content of what :func:`write_record` wrote. Errors as of :func:`read_table`."""
    sealed.verify(path)
    return sealed.without_seal(sealed.checked(path, path.read_bytes()))


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
    """The content of a JSON file; a DamagedError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedError(path, "is missing") from error
    except (OSError, ValueError) as error:
        raise DamagedError(path, f"is damaged: it is no JSON ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
