"""The folder of results: what may be replaced, what becomes of it where a run is killed, and who may write to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import aopc.experiment.output as module
from aopc.base.errors import InputError
from aopc.base.files import write_json, write_record, write_table
from aopc.base.manifest import MANIFEST
from aopc.experiment.output import output
from killed import killed_before, snapshot
from somebodys import years_of_work


def writing(version: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_json(folder / "metrics.json", {"version": version})
        write_table(folder / "curves" / f"{version}.parquet", {"x": [version]}, {})

    return write


def results(root: Path, version: int, name: str = "results") -> dict[str, object]:
    """Write a version of the results; returns what is in their folder."""
    with output(root / name, root / "images") as out:
        out.write(writing(version), {"images": 5})
    return dict(snapshot(root / name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Somebody's folder."""
    return years_of_work(tmp_path / "home", "images/cat/1.png", "thesis/chapter.tex", "thesis/.git/HEAD", "results.txt")


def test_results_take_the_place_of_earlier_ones_as_a_whole(root: Path) -> None:
    before = snapshot(root)
    first = results(root, 1)
    assert set(first) == {MANIFEST, "metrics.json", "curves", "curves/1.parquet"}
    (root / "results" / "metrics.json").unlink()  # the user's to remove
    second = results(root, 2)
    assert set(second) == {MANIFEST, "metrics.json", "curves", "curves/2.parquet"}
    shutil.rmtree(root / "results")
    (root / "results").mkdir()  # an empty one is nobody's
    assert results(root, 1) == first
    shutil.rmtree(root / "results")
    assert snapshot(root) == before


def _foreign(name: str) -> Callable[[Path], None]:
    def spoil(out: Path) -> None:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")

    return spoil


def _somebodys_project(out: Path) -> None:
    shutil.rmtree(out)
    for name in ("metrics.json", ".git/HEAD", "dvc.yaml"):
        _foreign(name)(out)


def _other_list(out: Path) -> None:
    (out / MANIFEST).write_text('{"files": {"metrics.json": {"bytes": 1, "digest": ""}}}')


def _pipe(out: Path) -> None:
    (out / MANIFEST).unlink()
    os.mkfifo(out / MANIFEST)


def _listing(files: object) -> Callable[[Path], None]:
    """A whole list that says something else than ours do."""
    return lambda out: write_record(out / MANIFEST, {"files": files})


def _older(out: Path) -> None:
    (out / MANIFEST).unlink()
    for name in ("figure4.png", "paired_differences.csv"):
        (out / name).write_text("")


def _link_inside(out: Path) -> None:
    (out / "metrics.json").rename(out.parent / "metrics.json")
    (out / "metrics.json").symlink_to("../metrics.json")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_foreign("notes.txt"), "notes.txt, which aopc did not write"),
        (_foreign("curves/mine.parquet"), "curves/mine.parquet, which aopc did not write"),
        (_foreign(".git/HEAD"), ".git/HEAD, which aopc did not write"),
        (_foreign(".DS_Store"), ".DS_Store, which aopc did not write"),
        (_foreign("metrics.json"), "metrics.json, which was changed since aopc wrote it"),
        (lambda out: (out / "empty").mkdir(), "empty, which aopc did not write"),
        (lambda out: (out / "x").symlink_to("/"), "x, which aopc did not write"),
        (_link_inside, "metrics.json, which aopc did not write"),
        (lambda out: (out / MANIFEST).unlink(), "and no list of results"),
        (_older, "looks like results of an older version"),
        (_pipe, "which was changed or damaged"),
        *[(_listing(files), "which was changed or damaged") for files in ([], None, "metrics.json", 5)],
        (_listing({"metrics.json": 1}), "metrics.json, which was changed since aopc wrote it"),
        (_listing({"/etc/passwd": {}, "../results.txt": {}}), "metrics.json, which aopc did not write"),
        (_other_list, "which was changed or damaged"),
        (_somebodys_project, ".git, and no list of results"),
    ],
)
def test_what_aopc_did_not_write_is_never_replaced(root: Path, spoil: Callable[[Path], None], said: str) -> None:
    results(root, 1)
    spoil(root / "results")
    before = snapshot(root)
    with pytest.raises(InputError) as caught, output(root / "results", root / "images"):
        pytest.fail("the work began")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "is the current folder"),
        (".", "is the current folder"),
        ("..", "is the current folder, or holds it"),
        ("../..", "is the current folder, or holds it"),
        ("/", "is the current folder, or holds it"),
        ("~", "is the home folder"),
        ("/proc", "is where a disk or volume is mounted"),
        ("images", "is or holds the folder of images"),
        ("images/../images", "is or holds the folder of images"),
        ("link", "is a link"),
        ("broken", "is a link"),
        ("thesis", "holds .git"),
        ("results.txt", "is no folder"),
        ("loop/results", "leads through links in a circle"),
        ("earlier/more", "which holds other results"),
        ("earlier/curves/more", "which holds other results"),
        ("~/results", "which only a shell takes"),
        ("taken", "which is no folder"),
        ("linked", "which is no folder"),
        ("results.txt/new", "cannot write"),
        ("x" * 260, "cannot write"),
        ("x" * 250, "cannot write"),
    ],
)
def test_a_place_that_is_none_for_results_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    (root / "link").symlink_to("images")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "taken.partial").write_text("mine")
    (root / "linked.partial").symlink_to("thesis")
    results(root, 1, "earlier")
    (root / "user").mkdir()
    monkeypatch.setenv("HOME", str(root / "user"))
    monkeypatch.chdir(root)
    before = snapshot(root)
    with pytest.raises(InputError) as caught, output(Path(out if out != "~" else root / "user"), Path("images")):
        pytest.fail("the work began")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert snapshot(root) == before


def test_a_folder_that_is_read_only_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = results(root, 1)
    monkeypatch.setattr("os.access", lambda path, mode: path != root / "results")  # tests may run as root
    with pytest.raises(InputError, match="is read-only"):
        results(root, 2)
    assert snapshot(root / "results") == old


def test_a_folder_that_is_mounted_from_the_same_disk_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results(root, 1)
    monkeypatch.setattr(module, "_bound", lambda: {root / "results"})
    with pytest.raises(InputError, match="mounted: give a folder in it"):
        results(root, 2)
    monkeypatch.undo()
    assert Path("/proc") in module._bound()


@pytest.mark.parametrize("exchange", [True, False])
def test_a_kill_leaves_the_old_or_the_new_and_the_next_run_puts_it_right(
    root: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """At every change of files; with and without a system that can exchange two folders in one step."""
    if not exchange:
        monkeypatch.setattr(module, "_change_places", lambda one, other: False)
    new, old = results(root, 2), results(root, 1)
    apart, change, seen = snapshot(root / "thesis"), 0, set()
    while killed_before(change := change + 1, lambda: results(root, 2), root):
        there = snapshot(root / "results")
        assert there in (old, new, {}), change
        assert there or not exchange, change
        seen.add("new" if there == new else "old" if there else "beside")
        with output(root / "results", root / "images"):
            assert snapshot(root / "results") in (old, new)
        assert results(root, 1) == old
        assert sorted(p.name for p in root.iterdir()) == ["images", "results", "results.txt", "thesis"], change
    assert change > 20
    assert seen == ({"old", "new"} if exchange else {"old", "new", "beside"})
    assert snapshot(root / "results") == new
    assert snapshot(root / "thesis") == apart


def test_a_kill_of_the_first_run_leaves_nothing_or_all(root: Path) -> None:
    new, change = results(root, 2), 0
    shutil.rmtree(root / "results")
    while killed_before(change := change + 1, lambda: results(root, 2), root):
        there = root / "results"
        assert not there.exists() or snapshot(there) == new, change
        assert results(root, 2) == new
        shutil.rmtree(there)
    assert sorted(p.name for p in root.iterdir()) == ["images", "results", "results.txt", "thesis"]


@pytest.mark.parametrize("call", ["rename", "mkdir", "copymode"])
def test_what_fails_leaves_the_old_results(root: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    old = results(root, 1)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    with output(root / "results", root / "images") as out:
        with monkeypatch.context() as patched:
            patched.setattr(module, "_change_places", lambda one, other: False)
            patched.setattr(*((shutil, call) if call == "copymode" else (Path, call)), fail)
            with pytest.raises(InputError, match=r"cannot write .*results"):
                out.write(writing(2), {})
        assert snapshot(root / "results") == old
    assert results(root, 2) != old
    assert not list(root.glob(".*"))


def test_a_file_that_comes_during_the_work_is_kept_and_so_is_the_work(root: Path) -> None:
    """Its error is one of writing, after which parts stay."""
    old = results(root, 1)
    with output(root / "results", root / "images") as out:
        (root / "results" / "notes.txt").write_text("mine")
        with pytest.raises(InputError, match=r"holds notes\.txt") as caught:
            out.write(writing(2), {})
        assert isinstance(caught.value.__cause__, OSError)
    assert snapshot(root / "results") == {**old, "notes.txt": b"mine"}


@pytest.mark.parametrize("file", ["notes.txt", ".123456789.notes", ".git"])
@pytest.mark.parametrize("name", [".results.new", ".results.old"])
def test_a_folder_of_the_users_in_the_way_is_refused(root: Path, name: str, file: str) -> None:
    (root / name).mkdir()
    (root / name / file).write_text("mine")
    before = snapshot(root)
    with pytest.raises(InputError, match="in the way"):
        results(root, 1)
    assert snapshot(root) == before


def test_a_crafted_list_removes_nothing_outside(root: Path) -> None:
    from aopc.base.files import read_record, write_record

    results(root, 1)
    about = read_record(root / "results" / MANIFEST)
    about["files"]["../results.txt"] = {"bytes": 13, "digest": ""}
    write_record(root / "results" / MANIFEST, about)
    results(root, 2)
    assert (root / "results.txt").read_text() == "years of work"


HOLD = """
import sys
from pathlib import Path
from aopc.experiment.output import output
with output(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_to_the_same_folder_is_refused_before_its_work(root: Path) -> None:
    old = results(root, 1)
    command = [sys.executable, "-c", HOLD, str(root / "results"), str(root / "images")]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"the process {first.pid} on .* writes to .*results already"):
        results(root, 2)
    assert results(root, 2, "others") != old
    first.kill()
    first.wait(timeout=30)
    assert results(root, 2) != old  # what is left of its lock is nothing
    assert not list(root.glob(".*"))


def test_folders_made_for_a_run_that_is_refused_are_removed(root: Path) -> None:
    before = snapshot(root)
    with output(root / "a" / "b" / "c", root / "images"):
        assert (root / "a" / "b").is_dir()
    assert snapshot(root) == before
