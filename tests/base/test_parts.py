"""Long computations in parts that survive a kill."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.base.files import atomic
from aopc.base.parts import Parts, parts


class KilledError(BaseException):
    """As a signal ends a process, no handler asked."""


def writing(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "result").write_text(text)

    return write


def interrupted(cache: Path, error: Callable[[Parts], None], identity: str = "id") -> None:
    """A computation that fails behind its first part."""
    with parts(cache, identity) as part:
        part("a", writing("first"))
        error(part)


def killed(part: Parts) -> None:
    raise KilledError


def test_parts_are_computed_once_and_go_when_all_is_done(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        interrupted(tmp_path, killed)
    with parts(tmp_path, "id") as part:
        assert "a" in part
        assert (part("a", writing("second")) / "result").read_text() == "first"
        assert "b" not in part
        assert (part("b", writing("second")) / "result").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == []


def test_half_a_part_is_none(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KilledError

    def second(part: Parts) -> None:
        part("b", half)

    with pytest.raises(KilledError):
        interrupted(tmp_path, second)
    with parts(tmp_path, "id") as part:
        assert "a" in part
        assert "b" not in part
        folder = part("b", writing("whole"))
        assert sorted(p.name for p in folder.iterdir()) == ["contents.json", "result"]


def test_another_identity_has_parts_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        interrupted(tmp_path, killed)
    with parts(tmp_path, "other") as part:
        assert "a" not in part
    with parts(tmp_path, "id") as part:
        assert "a" in part


def test_wrong_input_leaves_no_parts_but_a_full_disk_does(tmp_path: Path) -> None:
    def wrong(part: Parts) -> None:
        raise InputError("wrong")

    def full(part: Parts) -> None:
        with atomic(tmp_path / "result"):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="wrong"):
        interrupted(tmp_path, wrong)
    with parts(tmp_path, "id") as part:
        assert "a" not in part
    with pytest.raises(InputError, match="No space left"):
        interrupted(tmp_path, full)
    with parts(tmp_path, "id") as part:
        assert "a" in part
