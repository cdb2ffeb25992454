"""How the program's processes use the machine: how threads wait, what becomes of freed memory, and how much there is."""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from aopc.base.errors import InputError
from aopc.base.text import readable

#: Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
#: What torch, numpy, oneDNN and the loader of shared libraries say where memory ran out.
_EXHAUSTED = (
    "allocate memory", "not enough memory", "out of memory", "bad_alloc", "could not create a memory", "failed to map segment", "can't start new thread", "unable to allocate",
)  # fmt: skip
_UNLIMITED = 2**62


def prepare() -> None:
    """Set up this process for many forward passes on a CPU; before torch is imported.

    Idle OpenMP threads sleep after some microseconds of spinning. GNU OpenMP lets a thread that waits spin for
    milliseconds, which takes the core from one that works wherever another process runs too: two evaluations side by
    side on two cores ran at an eighth of their speed. With this count, two run at half speed each and one alone as
    fast as ever; sleeping at once (OMP_WAIT_POLICY=PASSIVE) costs small networks a fifth.

    Freed memory stays with the process. By default glibc gives blocks above 32 MB back at once, and each forward pass
    waits for the kernel to zero their pages anew: SqueezeNet in batches of 8 ran at 1.6 times the speed without that.
    Where the process may take little (``ulimit -v`` or ``-d``), freed memory goes back, and there is one thread: each further one
    reserves tens of megabytes, and OpenMP ends the program where it gets no thread.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    little = _of_limit() < 2**33
    if little:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        if little:
            mallopt(_ARENA_MAX, 1)
            return
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at once may help, on a CPU or a GPU."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    # A primitive's descriptor is refused for its shape, the primitive itself for want of memory.
    primitive = "could not create a primitive" in said and "descriptor" not in said
    kinds = isinstance(error, RuntimeError | ImportError) and (primitive or any(text in said for text in _EXHAUSTED))
    return kinds or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, of its control group, and below its own limit."""
    return max(0, min(_of_machine(), _of_group(), _of_limit()))


def require_memory(needed: int, what: str) -> None:
    """Raise InputError if ``what`` takes more bytes than there are."""
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{what} would take {readable(needed)} of memory, and {readable(free)} are free: ask for less at once"
        )


def require_disk(needed: int, free: int, what: str, place: Path) -> None:
    """Raise InputError if ``what`` takes more bytes than are ``free`` on the disk of ``place``."""
    if needed > free:
        raise InputError(f"{what} would take {readable(needed)} in {place}, where {readable(free)} are free: make room")


def _of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return _UNLIMITED


def _of_group() -> int:
    """Of the container: its limit less what it uses, without the files that are only cached."""
    root = Path("/sys/fs/cgroup")
    for most, used, cached in (
        (root / "memory.max", root / "memory.current", "inactive_file "),
        (root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes", "total_inactive_file "),
    ):
        try:
            statistics = (used.parent / "memory.stat").read_text(encoding="ascii").splitlines()
            idle = next((int(x.split()[1]) for x in statistics if x.startswith(cached)), 0)
            return int(most.read_text()) - int(used.read_text()) + idle
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return _UNLIMITED


def _of_limit() -> int:
    """Of the process: of its addresses (``ulimit -v``) and of its data (``ulimit -d``)."""
    try:
        import resource

        pages = [int(n) for n in Path("/proc/self/statm").read_text(encoding="ascii").split()]
        limits = ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5]))
        most = [(resource.getrlimit(kind)[0], used * resource.getpagesize()) for kind, used in limits]
        return min([m - used for m, used in most if m != resource.RLIM_INFINITY], default=_UNLIMITED)
    except (ImportError, OSError, ValueError):
        return _UNLIMITED
