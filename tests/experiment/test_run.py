"""THE loop: parts are kept where they may be of use, wherever and in whatever order they are computed."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aopc.base.errors import InputError
from aopc.base.files import origin_of, read_array, read_table
from aopc.experiment.executors import Executor
from aopc.experiment.executors.local import Local
from aopc.experiment.run import Done, Task, Unit, Work, run, slices
from numbers_work import TABLE, UNITS, VALUES, Numbers, expected


def files_of(work: Work, folder: Path, *, executor: Executor | None = None, name: str = "joined") -> dict[str, bytes]:
    """The loop's results, joined: file name → content. Its parts are in ``folder/cache``."""
    out = folder / name
    with run(work, folder / "cache", executor=executor) as done:
        for unit in work.units:
            stem = f"{unit.condition}-{unit.explainer}"
            done.join(unit, VALUES, out / f"{stem}.npy", {"unit": stem})
            done.join(unit, TABLE, out / f"{stem}.parquet", {"unit": stem})
    return {p.name: p.read_bytes() for p in sorted(out.iterdir())}


def parts_in(cache: Path) -> set[str]:
    """The parts that lie there: identity/part."""
    return {f"{p.parent.name}/{p.name}" for p in cache.glob("*/*")}


def failing_at(first: int, error: BaseException) -> Callable[[Task], None]:
    def fail(task: Task) -> None:
        if task.rows.start == first:
            raise error

    return fail


def test_the_parts_are_joined_in_the_order_of_the_images(tmp_path: Path) -> None:
    work = Numbers()
    found = files_of(work, tmp_path)
    assert len(found) == 2 * len(UNITS)
    for unit in UNITS:
        stem = tmp_path / "joined" / f"{unit.condition}-{unit.explainer}"
        assert read_array(stem.with_suffix(".npy"))[:, 0].tolist() == expected(unit)
        table = read_table(stem.with_suffix(".parquet"))
        assert table["value"].tolist() == expected(unit)
        assert table["image"].tolist() == work.ids
        assert origin_of(stem.with_suffix(".parquet")) == {"unit": stem.name}
    # Images that are together in memory are computed for all units at once.
    assert work.computed == [(first, unit) for first in (0, 3, 6) for unit in UNITS]
    assert parts_in(tmp_path / "cache") == set()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug"), SystemExit(1)])
def test_after_an_exception_finished_parts_are_used_again(tmp_path: Path, error: BaseException) -> None:
    expected_files = files_of(Numbers(), tmp_path / "whole")
    killed = Numbers(before=failing_at(3, error))
    with pytest.raises(type(error)):
        files_of(killed, tmp_path)
    assert not (tmp_path / "joined").exists()
    identities = {killed.identity(u) for u in UNITS}
    assert parts_in(tmp_path / "cache") == {f"{i}/000000" for i in identities}
    second = Numbers()
    assert files_of(second, tmp_path) == expected_files
    assert {first for first, _ in second.computed} == {3, 6}
    assert parts_in(tmp_path / "cache") == set()


def test_after_an_error_of_the_user_nothing_is_left(tmp_path: Path) -> None:
    wrong = Numbers(before=failing_at(3, InputError("this image is none")))
    with pytest.raises(InputError):
        files_of(wrong, tmp_path)
    assert parts_in(tmp_path / "cache") == set()
    # So, too, where it shows in what is made of the parts.
    with pytest.raises(InputError), run(Numbers(), tmp_path / "cache"):
        raise InputError("these results are none")
    assert parts_in(tmp_path / "cache") == set()


def test_what_could_not_be_written_can_be_written_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(InputError, match="cannot write"),
        run(Numbers(), tmp_path / "cache") as done,
    ):
        done.join(UNITS[0], VALUES, tmp_path / "file" / "values.npy", {})
    assert len(parts_in(tmp_path / "cache")) == 3 * len(UNITS)
    second = Numbers()
    files_of(second, tmp_path)
    assert second.computed == []


def test_a_part_that_was_being_written_is_not_taken_for_one(tmp_path: Path) -> None:
    """A kill while files are written leaves a part under its temporary name."""
    whole = files_of(Numbers(), tmp_path / "whole")
    for unit in UNITS:
        half = tmp_path / "cache" / Numbers().identity(unit) / ".000000"
        half.mkdir(parents=True)
        (half / VALUES).write_bytes(b"half of it")
    second = Numbers()
    assert files_of(second, tmp_path) == whole
    assert len(second.computed) == 3 * len(UNITS)


@settings(deadline=None)
@given(st.permutations(UNITS))
def test_the_order_of_the_units_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, units: Sequence[Unit]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    # The second goes on where the first, in another order, was killed.
    with pytest.raises(KeyboardInterrupt):
        files_of(Numbers(before=failing_at(6, KeyboardInterrupt())), folder)
    second = Numbers(units)
    assert files_of(second, folder) == files_of(Numbers(), folder / "whole")
    assert {first for first, _ in second.computed} == {6}


def test_units_share_no_parts_and_new_ones_are_computed_alone(tmp_path: Path) -> None:
    """A run with one unit more takes the parts of the others, as one without it does."""
    with pytest.raises(KeyboardInterrupt):
        files_of(Numbers(UNITS[:2], failing_at(6, KeyboardInterrupt())), tmp_path)
    more = Numbers()
    assert files_of(more, tmp_path) == files_of(Numbers(), tmp_path / "whole")
    early = [(first, unit) for first, unit in more.computed if first < 6]
    assert early == [(first, unit) for first in (0, 3) for unit in UNITS[2:]]


def test_other_work_does_not_take_the_parts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        files_of(Numbers(before=failing_at(6, KeyboardInterrupt())), tmp_path)
    kept = parts_in(tmp_path / "cache")
    other = Numbers(version="2")
    files_of(other, tmp_path)
    assert len(other.computed) == 3 * len(UNITS)
    assert parts_in(tmp_path / "cache") == kept  # the first may still go on


def test_until_is_asked_after_each_part_and_stops(tmp_path: Path) -> None:
    work, asked = Numbers(), []

    def enough(done: Done) -> bool:
        values = [read_array(f / VALUES)[:, 0].tolist() for f in done.folders[UNITS[1]]]
        asked.append((done.images, values))
        return done.images >= 6

    with run(work, tmp_path / "cache", until=enough) as done:
        assert done.images == 6
        done.join(UNITS[1], VALUES, tmp_path / "values.npy", {})
    assert asked == [(3, [[1.0, 11.0, 21.0]]), (6, [[1.0, 11.0, 21.0], [31.0, 41.0, 51.0]])]
    assert read_array(tmp_path / "values.npy")[:, 0].tolist() == expected(UNITS[1], 6)
    assert {first for first, _ in work.computed} == {0, 3}
    assert parts_in(tmp_path / "cache") == set()


def test_until_is_asked_of_parts_that_are_there_already(tmp_path: Path) -> None:
    """So a run that goes on stops at the same image."""
    with pytest.raises(KeyboardInterrupt):
        files_of(Numbers(before=failing_at(6, KeyboardInterrupt())), tmp_path)
    second = Numbers()
    with run(second, tmp_path / "cache", until=lambda done: done.images >= 3) as done:
        assert done.images == 3
    assert second.computed == []


class Reversed:
    """The last task is done first; results come in order all the same."""

    def map(self, compute: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        waiting = list(tasks)
        found = {i: compute(waiting[i]) for i in reversed(range(len(waiting)))}
        return (found[i] for i in range(len(waiting)))


class Processes:
    """Each task in a process of its own, all at once."""

    def map(self, compute: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        forked = multiprocessing.get_context("fork")

        def work(task: Any, end: Connection) -> None:
            end.send((os.getpid(), compute(task)))
            end.close()

        running = []
        for task in tasks:
            here, there = forked.Pipe()
            process = forked.Process(target=work, args=(task, there))
            process.start()
            there.close()
            running.append((process, here))
        for process, end in running:
            worker, found = end.recv()
            process.join()
            assert worker != os.getpid()
            yield found


@pytest.mark.parametrize("executor", [None, Local(), Reversed(), Processes()])
def test_where_and_when_parts_are_computed_does_not_matter(tmp_path: Path, executor: Executor | None) -> None:
    whole = files_of(Numbers(), tmp_path / "whole")
    assert files_of(Numbers(), tmp_path, executor=executor) == whole
    assert parts_in(tmp_path / "cache") == set()
    # It goes on from the parts of another executor.
    with pytest.raises(KeyboardInterrupt):
        files_of(Numbers(before=failing_at(6, KeyboardInterrupt())), tmp_path, name="killed")
    assert parts_in(tmp_path / "cache")
    assert files_of(Numbers(), tmp_path, executor=executor, name="resumed") == whole
    assert parts_in(tmp_path / "cache") == set()


def test_nothing_is_computed_ahead_in_this_process(tmp_path: Path) -> None:
    """A part is kept before the next one is begun, so a kill costs one part at most."""
    cache = tmp_path / "cache"
    kept: list[int] = []
    files_of(Numbers(before=lambda task: kept.append(len(parts_in(cache)))), tmp_path)
    assert kept == [0, len(UNITS), 2 * len(UNITS)]


@pytest.mark.parametrize("killed", [None, 3, 6])
def test_progress_counts_every_image_in_every_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: int | None
) -> None:
    if killed is not None:
        with pytest.raises(KeyboardInterrupt):
            files_of(Numbers(before=failing_at(killed, KeyboardInterrupt())), tmp_path)
    told: list[float] = []

    @contextmanager
    def bar(total: int, label: str) -> Iterator[Callable[[float], object]]:
        assert (total, label) == (2 * 7, "numbers")
        yield told.append

    monkeypatch.setattr("aopc.experiment.run.progress_bar", bar)
    files_of(Numbers(), tmp_path)
    assert sum(told) == 2 * 7


@given(st.integers(0, 50), st.integers(1, 9))
def test_slices_cover_all_images_once(count: int, size: int) -> None:
    found = slices(count, size)
    assert np.concatenate([[], *[np.arange(count)[s] for s in found]]).tolist() == list(range(count))
    assert all(0 < s.stop - s.start <= size for s in found)
