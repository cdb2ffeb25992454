"""Kills and damaged files: afterwards the same bytes as of an undisturbed run, or one line that refuses.

The folder of results alone, at every change of files: tests/experiment/test_output.py. Every bit of a file:
tests/base/test_sealed.py. DVC's stages: tests/paper/stages/test_pipeline.py.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aopc.base.errors import InputError
from aopc.base.files import read_array, write_array, write_record
from aopc.experiment.evaluate import Evaluation, evaluate
from aopc.experiment.run import Unit
from aopc.experiment.store import renew
from killed import damages, killed_before, snapshot
from numbers_work import TABLE, UNITS, VALUES, Numbers
from pets import Counter, evaluation_of, write_pets
from somebodys import years_of_work


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)


def evaluation(inputs: Path, model: Counter | None = None) -> Evaluation:
    return replace(evaluation_of(inputs, model or Counter()), explainers=["sensitivity-l2"])


@pytest.fixture(scope="module")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
        evaluate(evaluation(inputs), folder := tmp_path_factory.mktemp("whole") / "results")
    return dict(snapshot(folder))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Somebody's folder, beside whose files the results will lie."""
    beside = ("results.partial/notes.txt", "results.partial/poetry.lock", ".results/config")
    return years_of_work(tmp_path / "home", "thesis.tex", *beside)


def beside_results(home: Path) -> dict[str, object]:
    return {name: content for name, content in snapshot(home).items() if not name.startswith("results/")}


def test_an_evaluation_that_is_killed_anywhere_goes_on_to_the_same_results(
    inputs: Path, home: Path, undisturbed: dict[str, object]
) -> None:
    before, kills = beside_results(home), 0
    while killed_before(1 + kills * (kills + 1), lambda: evaluate(evaluation(inputs), home / "results"), home):
        there = home / "results"
        assert not there.exists() or snapshot(there) == undisturbed
        assert before.items() <= beside_results(home).items()
        kills += 1
        if kills % 3:  # otherwise it is killed again, later
            evaluate(evaluation(inputs), there)
            assert snapshot(there) == undisturbed
            assert beside_results(home).items() - {("results", None)} == before.items()
            shutil.rmtree(there)
    assert kills > 6
    assert snapshot(home / "results") == undisturbed
    assert beside_results(home).items() - {("results", None)} == before.items()


@pytest.fixture(scope="module")
def killed_run(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies beside the results of a run that was killed: parts of two explainers, frames."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("aopc.experiment.evaluate.PART_IMAGES", 2)
        whole = Counter()
        evaluate(evaluation(inputs, whole), tmp_path_factory.mktemp("whole") / "results")
        folder = tmp_path_factory.mktemp("killed")
        with pytest.raises(KeyboardInterrupt):
            evaluate(evaluation(inputs, Counter(stop_at=int(0.9 * whole.seen))), folder / "results")
    assert len(list(folder.glob("results.partial/*/0*/curves.parquet"))) == 4
    return folder


def _each(pattern: str, damage: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(partial: Path) -> None:
        found = list(partial.glob(pattern))
        assert found
        for path in found:
            path.write_bytes(damage(path.read_bytes()))

    return spoil


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def _exchange(one: Path, other: Path) -> None:
    shutil.move(one, one.with_name("x"))
    shutil.move(other, one)
    shutil.move(one.with_name("x"), other)


def _exchange_parts(partial: Path) -> None:
    for folder in [p for p in partial.iterdir() if p.is_dir()]:
        _exchange(folder / "000000", folder / "000002")


def _exchange_explainers(partial: Path) -> None:
    one, other = (p for p in partial.iterdir() if p.is_dir())
    _exchange(one, other)


def _exchange_files(partial: Path) -> None:
    for folder in [p for p in partial.iterdir() if p.is_dir()]:
        _exchange(folder / "000000" / "curves.parquet", folder / "000002" / "curves.parquet")


def _reverse(partial: Path) -> None:
    for path in partial.glob("*/0*/heatmaps.npy"):
        write_array(path, read_array(path)[::-1].copy())


def _folders_for_files(partial: Path) -> None:
    for path in list(partial.glob("*/0*/curves.parquet")):
        path.unlink()
        path.mkdir()


def _files_for_parts(partial: Path) -> None:
    for path in list(partial.glob("*/0*")):
        shutil.rmtree(path)
        path.write_text("no part")


def _files_for_computations(partial: Path) -> None:
    for path in [p for p in partial.iterdir() if p.is_dir()]:
        shutil.rmtree(path)
        path.write_text("no parts")


@pytest.mark.parametrize(
    "spoil",
    [
        _each("*/0*/curves.parquet", _flip),
        _each("*/0*/curves.parquet", lambda content: content[:-5]),
        _each("*/0*/heatmaps.npy", _flip),
        _each("*/0*/heatmaps.npy", lambda content: b""),
        _each("*/0*/complexity.parquet", lambda content: bytes(len(content))),
        _each("*/0*/contents.json", _flip),
        _each("*/0*/contents.json", lambda content: b'{"part": "000000", "files": {}}\n'),
        _each("frames-*.npy", _flip),
        _each("frames-*.npy", lambda content: content[:200]),
        _reverse,
        _exchange_parts,
        _exchange_explainers,
        _exchange_files,
        _folders_for_files,
        _files_for_parts,
        _files_for_computations,
    ],
)
def test_damaged_parts_are_computed_again(
    inputs: Path,
    killed_run: Path,
    home: Path,
    undisturbed: dict[str, object],
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
) -> None:
    before = beside_results(home)
    shutil.copytree(killed_run / "results.partial", home / "results.partial", dirs_exist_ok=True)
    (home / "results.partial" / "notes.txt").rename(home / "notes")
    (home / "results.partial" / "poetry.lock").rename(home / "lock")
    spoil(home / "results.partial")
    (home / "notes").rename(home / "results.partial" / "notes.txt")
    (home / "lock").rename(home / "results.partial" / "poetry.lock")
    evaluate(evaluation(inputs), home / "results")
    assert snapshot(home / "results") == undisturbed
    assert beside_results(home).items() - {("results", None)} == before.items()
    if spoil is not _files_for_computations:
        assert "again" in capsys.readouterr().err


def place(product: str) -> Callable[[Unit], Path]:
    """As in the pipeline: relative to its folder."""
    name = "{0.condition}/{0.explainer}.parquet" if product == TABLE else "{0.condition}/{0.explainer}/values.npy"
    return lambda unit: Path("data") / name.format(unit)


def renewed(product: str) -> list[Unit]:
    about = {"panel": "objects", "code": "c"}
    return renew(Numbers(), product, place(product), lambda unit: about, Path(".cache") / "parts")


def test_damaged_files_of_the_pipeline_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for product in (TABLE, VALUES):
        renewed(product)
        whole, (one, other) = snapshot(tmp_path), UNITS[:2]
        paths = [place(product)(one), *([place(product)(one).with_name("about.json")] if product == VALUES else [])]
        for path in paths:
            for what, damaged in damages(path.read_bytes(), flips=8):
                path.write_bytes(damaged)
                assert renewed(product) == [one], what
                assert snapshot(tmp_path) == whole, what
            path.unlink()
            assert renewed(product) == [one]
            shutil.copy(
                place(product)(other).with_name(path.name) if product == VALUES else place(product)(other), path
            )
            assert renewed(product) == [one]
            assert snapshot(tmp_path) == whole
        assert renewed(product) == []


def test_other_heatmaps_in_their_place_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that are whole: in other order, of another type or shape, with or without a digest of their own."""
    monkeypatch.chdir(tmp_path)
    renewed(VALUES)
    whole, path = snapshot(tmp_path), place(VALUES)(UNITS[0])
    values = np.array(read_array(path))
    for other in (values[::-1], values.astype(np.float64), values[:3], values.T, np.float32(3), np.zeros((0, 1))):
        np.save(path, other)
        assert renewed(VALUES) == [UNITS[0]]
        write_array(path, np.asarray(other))
        assert renewed(VALUES) == [UNITS[0]]
        write_array(path, np.asarray(other), {"identity": Numbers(version="2").identity(UNITS[0])})
        assert renewed(VALUES) == [UNITS[0]]
        assert snapshot(tmp_path) == whole
    write_record(path.with_name("about.json"), {"identity": "another"})
    assert renewed(VALUES) == [UNITS[0]]
    assert snapshot(tmp_path) == whole


@pytest.mark.parametrize("product", [TABLE, VALUES])
def test_a_folder_in_the_place_of_a_file_is_refused_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = place(product)(UNITS[0])
    path.mkdir(parents=True)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="cannot write") as caught:
        renewed(product)
    assert "\n" not in str(caught.value)
    assert (path / "notes.txt").read_text() == "mine"
    (path / "notes.txt").unlink()
    path.rmdir()
    assert renewed(product) == list(UNITS)


@pytest.mark.parametrize("product", [TABLE, VALUES])
def test_a_renewal_that_is_killed_anywhere_goes_on_to_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product: str
) -> None:
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    renewed(product)
    whole, kills = snapshot(tmp_path / "whole"), 0
    (tmp_path / "killed").mkdir()
    monkeypatch.chdir(tmp_path / "killed")
    while killed_before(1 + kills * (kills + 1), lambda: renewed(product), tmp_path / "killed"):
        kills += 1
        if kills % 2:
            renewed(product)
            assert snapshot(tmp_path / "killed") == whole
            for path in (tmp_path / "killed").iterdir():
                shutil.rmtree(path)
    assert kills > 8
    assert snapshot(tmp_path / "killed") == whole
