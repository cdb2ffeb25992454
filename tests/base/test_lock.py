"""A lock holds between processes, ends with its holder, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.base.lock import lock
from somebodys import state_of

HOLD = """
import os, sys, time
from pathlib import Path
from aopc.base.lock import lock
with lock(Path(sys.argv[1]), busy="is at it", wait=len(sys.argv) > 2):
    if sys.argv[-1] == "fork":
        if os.fork() == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path, *more: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(path), *more]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def held(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"


def test_another_process_is_refused_and_named_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    first = holder(path)
    held(first)
    with pytest.raises(InputError, match=f"the process {first.pid} on .* is at it"), lock(path, busy="is at it"):
        pytest.fail("held twice")
    let_go(first)
    assert list(tmp_path.iterdir()) == []
    with lock(path, busy="is at it"):
        assert path.exists()
        with pytest.raises(InputError, match="this process is at it"), lock(path, busy="is at it"):
            pytest.fail("held twice")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", ["", "fork"])
def test_a_lock_ends_with_a_process_that_is_killed(tmp_path: Path, more: str) -> None:
    """Also where a process that it forked lives on."""
    path = tmp_path / "x.lock"
    first = holder(path, *[more] * bool(more))
    held(first)
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=30)
    assert path.exists()
    with lock(path, busy="is at it"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_says_so_and_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with lock(path, busy="is at it"):
        second = holder(path, "wait")
        assert second.stderr is not None
        assert second.stderr.readline() == f"aopc: {_name()} is at it; waiting for it\n"
        time.sleep(0.1)
        assert second.poll() is None
    held(second)
    with pytest.raises(InputError, match=f"the process {second.pid} "), lock(path, busy="is at it"):
        pytest.fail("held twice")
    let_go(second)
    assert list(tmp_path.iterdir()) == []


def _name() -> str:
    return f"the process {os.getpid()} on {os.uname().nodename}"


def test_a_lock_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.lock").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*x\.lock"), lock(tmp_path / "x.lock", busy=""):
        pytest.fail("held")


def _hard_link(path: Path) -> None:
    os.link(path.with_name("thesis.tex"), path)


@pytest.mark.parametrize(
    "lay",
    [
        lambda path: path.symlink_to("thesis.tex"),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path.name),
        _hard_link,
        lambda path: path.write_text("mine"),
        lambda path: path.write_text("7 on host\nmine"),
        lambda path: path.write_bytes(bytes(10)),
        os.mkfifo,
        Path.mkdir,
    ],
)
def test_what_is_no_lock_is_left_as_it_is(tmp_path: Path, lay: Callable[[Path], object]) -> None:
    """Neither it nor what it leads to is written to or removed."""
    (tmp_path / "thesis.tex").write_text("years of work")
    path = tmp_path / "x.lock"
    lay(path)
    before = state_of(tmp_path)
    with pytest.raises(InputError, match=r"in the way|Is a directory") as caught, lock(path, busy="is at it"):
        pytest.fail("it is held")
    assert "\n" not in str(caught.value)
    assert state_of(tmp_path) == before


def test_a_disk_that_is_full_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", full)
        with pytest.raises(InputError, match="No space left"), lock(tmp_path / "x.lock", busy="is at it"):
            pytest.fail("it is held")
    assert not list(tmp_path.iterdir())
    with lock(tmp_path / "x.lock", busy="is at it"):
        pass
