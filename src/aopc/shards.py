"""Long computations in parts that survive a kill.

A part's file lies under a key made of all that determines it, is written under a temporary name
and renamed, and is used again if the computation starts again. Parts are removed once the whole
result is written.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from aopc.errors import InputError
from aopc.tables import identity_hash

#: (name of the part, function that writes its files to a folder) → that folder.
Shard = Callable[[str, Callable[[Path], None]], Path]


@contextmanager
def shards(cache: Path, identity: Mapping[str, Any]) -> Iterator[Shard]:
    """A folder for the parts of one computation.

    Parameters
    ----------
    cache
        Where such folders lie; not under version control.
    identity
        All that determines the result: parameters, hashes of the input
        (:func:`aopc.tables.identity_hash`).

    Yields
    ------
    shard(name, compute)
        Returns the folder of the part ``name``, after ``compute(folder)`` wrote its files where it
        is not there yet. Another process with the same identity waits. The parts are removed at the
        end of the context, and after an InputError in ``compute``, but not after anything else.
    """
    key = identity_hash(identity)
    folder = cache / key
    cache.mkdir(parents=True, exist_ok=True)
    lock = cache / f"{key}.lock"
    with FileLock(lock):

        def shard(name: str, compute: Callable[[Path], None]) -> Path:
            path = folder / name
            if not path.exists():
                temporary = folder / f".{name}"
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
                try:
                    compute(temporary)
                except InputError:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                temporary.rename(path)
            return path

        yield shard
        shutil.rmtree(folder, ignore_errors=True)
