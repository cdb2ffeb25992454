"""The files of results: which are still right, which are computed anew, and what is removed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aopc.base.files import origin_of, read_array, read_table, write_table
from aopc.experiment.run import Unit
from aopc.experiment.store import (
    curve_columns,
    identity_of,
    keep_only,
    read_curves,
    read_mean_curves,
    renew,
)
from aopc.perturbation.curves import Curves
from numbers_work import TABLE, UNITS, VALUES, Numbers, expected


def place(folder: Path, product: str, unit: Unit) -> Path:
    """As the pipeline has it: tables side by side, arrays in folders of their own."""
    if product == TABLE:
        return folder / unit.condition / f"{unit.explainer}.parquet"
    return folder / unit.condition / unit.explainer / "values.npy"


def renewed(work: Numbers, product: str, folder: Path, **about: Any) -> list[Unit]:
    return renew(
        work,
        product,
        lambda unit: place(folder / "files", product, unit),
        lambda unit: {"explainer": unit.explainer, **about},
        folder / "cache",
    )


@pytest.mark.parametrize("product", [TABLE, VALUES])
def test_only_missing_units_are_computed(tmp_path: Path, product: str) -> None:
    first = Numbers(UNITS[:2])
    assert renewed(first, product, tmp_path) == list(UNITS[:2])
    kept = [place(tmp_path / "files", product, unit) for unit in UNITS[:2]]
    written = [path.stat().st_mtime_ns for path in kept]
    more = Numbers()
    assert renewed(more, product, tmp_path) == list(UNITS[2:])
    assert {unit for _, unit in more.computed} == set(UNITS[2:])
    assert [path.stat().st_mtime_ns for path in kept] == written
    again = Numbers()
    assert renewed(again, product, tmp_path) == []
    assert again.computed == []
    for unit in UNITS:
        path = place(tmp_path / "files", product, unit)
        found = read_table(path)["value"] if product == TABLE else read_array(path)[:, 0]
        assert found.tolist() == expected(unit)
        assert identity_of(path) == Numbers().identity(unit)
    # A file that was lost comes back, alone.
    kept[1].unlink()
    assert renewed(Numbers(), product, tmp_path) == [UNITS[1]]


@pytest.mark.parametrize("product", [TABLE, VALUES])
def test_a_file_of_something_else_is_replaced(tmp_path: Path, product: str) -> None:
    """Its identity decides, not whether it is there; what else it says about itself does not."""
    renewed(Numbers(), product, tmp_path, panel="x")
    assert renewed(Numbers(), product, tmp_path, panel="y") == []
    assert renewed(Numbers(version="2"), product, tmp_path, panel="y") == list(UNITS)
    path = place(tmp_path / "files", product, UNITS[0])
    about = origin_of(path if product == TABLE else path.with_name("about.json"))
    assert about == {
        "explainer": "a",
        "panel": "y",
        "identity": Numbers(version="2").identity(UNITS[0]),
    }


def test_an_array_that_is_being_written_has_no_identity(tmp_path: Path) -> None:
    """A kill between the array and its identity must not leave an old one beside a new array."""
    renewed(Numbers(), VALUES, tmp_path)
    path = place(tmp_path / "files", VALUES, UNITS[0])

    def killed(unit: Unit) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renew(
            Numbers(version="2"),
            VALUES,
            lambda unit: place(tmp_path / "files", VALUES, unit),
            killed,
            tmp_path / "cache",
        )
    assert path.exists()
    assert identity_of(path) is None
    again = Numbers(version="2")
    assert renewed(again, VALUES, tmp_path) == list(UNITS)
    assert again.computed == []  # the parts were there
    # Nor has an identity without its array.
    path.unlink()
    assert identity_of(path) is None


def test_a_killed_renewal_goes_on(tmp_path: Path) -> None:
    def kill(task: Any) -> None:
        if task.rows.start == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renewed(Numbers(before=kill), TABLE, tmp_path)
    assert not (tmp_path / "files").exists()
    second = Numbers()
    assert renewed(second, TABLE, tmp_path) == list(UNITS)
    assert {first for first, _ in second.computed} == {6}
    renewed(Numbers(), TABLE, tmp_path / "whole")
    for unit in UNITS:
        one, other = (place(f / "files", TABLE, unit) for f in (tmp_path, tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_only_what_is_ours_and_unwanted_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.parquet", "b.parquet", "gone/below/c.parquet"):
        write_table(tmp_path / name, {"x": [1]}, {})
    (tmp_path / "gone" / ".999999999.c.parquet").write_text("of a process that was killed")
    (tmp_path / "mine").mkdir()
    write_table(tmp_path / "mine" / "d.parquet", {"x": [1]}, {})
    for name in ("notes.txt", "e.parquet", "mine/f.npy"):
        (tmp_path / name).write_text("the user's")
    (tmp_path / "link").symlink_to(tmp_path / "a.parquet")
    keep_only(tmp_path, ["a.parquet", "not there"])
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    assert left == ["a.parquet", "e.parquet", "link", "mine", "mine/f.npy", "notes.txt"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert all("is left alone" in line for line in said)
    keep_only(tmp_path / "nowhere", ["a"])


def curves(ids: tuple[str, ...], seed: int) -> Curves:
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((len(ids), 2, 4)).astype(np.float32)
    return Curves(logits, logits / 10, generator.integers(0, 9, len(ids)), ids)


def test_curves_come_back_from_their_tables(tmp_path: Path) -> None:
    """Of several orders with different numbers of trajectories, from one file or from parts."""
    first, second = ("a", "b"), ("c",)
    scores = np.ones((2, 6, 4), np.float32)
    random = replace(curves(first, 3), logits=scores, probabilities=scores)
    whole = {"morf": curves(first, 0), "lerf": curves(first, 1), "random": random}
    write_table(tmp_path / "1.parquet", curve_columns(whole), {})
    found = read_curves(tmp_path / "1.parquet")
    assert list(found) == ["morf", "lerf", "random"]
    for order, expected_ in whole.items():
        np.testing.assert_array_equal(found[order].logits, expected_.logits)
        np.testing.assert_array_equal(found[order].probabilities, expected_.probabilities)
        np.testing.assert_array_equal(found[order].targets, expected_.targets)
        assert found[order].image_ids == expected_.image_ids
    write_table(tmp_path / "2.parquet", curve_columns({"morf": curves(second, 2)}), {})
    write_table(tmp_path / "3.parquet", curve_columns({"morf": whole["morf"]}), {})
    joined = read_curves(tmp_path / "3.parquet", tmp_path / "2.parquet")["morf"]
    assert joined.image_ids == ("a", "b", "c")
    means = read_mean_curves(tmp_path / "3.parquet", tmp_path / "2.parquet")["morf"]
    assert means.image_ids == joined.image_ids
    assert means.logits.shape == (3, 1, 4)
    np.testing.assert_allclose(means.logits[:, 0], joined.logits.mean(axis=1, dtype=np.float64), rtol=1e-12)
