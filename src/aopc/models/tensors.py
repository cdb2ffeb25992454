"""Files that ``torch.save`` wrote, from anywhere: read without running code, and never larger inside than they look."""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aopc.base.errors import InputError
from aopc.base.machine import require_memory

#: torch does not compress, and trained weights hardly can be: no honest file holds so many times its size.
LARGEST_RATIO = 20
#: Of a file, for which the ratio does not count: what is small may repeat itself.
_SMALL = 2**24


def load_tensors(file: Path | io.BytesIO, path: Path) -> Any:
    """What a file holds, on the CPU, read with ``weights_only=True``.

    ``path`` is what to call it. What torch says of it beside the error is left out.

    Raises
    ------
    InputError
        If its content is not what its checksums say, would not fit into memory, or is larger than its size allows.
    Exception
        Whatever torch raises where it is no file of its own.
    """
    if zipfile.is_zipfile(file):
        _check_archive(file, path)
    if isinstance(file, io.BytesIO):
        file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def _check_archive(file: Path | io.BytesIO, path: Path) -> None:
    """Its checksums, too, at which torch does not look."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
            _require_honest(size, path, file)
            require_memory(size, f"{path}")
            damaged = archive.testzip()
    except (InputError, MemoryError):
        raise
    # Of a damaged archive, or one that torch does not write: encrypted, compressed in another way.
    except Exception as error:
        raise InputError(f"{path} is damaged: copy or download it again ({error})") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the content of {damaged} is not what was written; copy or download it again"
        )


def require_tensors(tensors: Mapping[Any, Any], path: Path, file: Path | io.BytesIO) -> None:
    """Raise InputError unless all are ordinary tensors, by text, and together of no other size than the file allows: one
    number can be stored as the values of any shape.
    """
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"the weights file {path} holds no state dict: save model.state_dict(), not the model or a training"
                " checkpoint"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise InputError(
                f"the weights file {path} holds {name} in a form that no layer takes: save it as a dense tensor"
            )
    _require_honest(sum(value.numel() * value.element_size() for value in tensors.values()), path, file)


def _require_honest(inside: int, path: Path, file: Path | io.BytesIO) -> None:
    size = file.stat().st_size if isinstance(file, Path) else file.getbuffer().nbytes
    if inside > max(_SMALL, LARGEST_RATIO * size):
        raise InputError(f"{path} is refused: it holds more than {LARGEST_RATIO} times its size")
