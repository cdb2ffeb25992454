"""Data sets in memory and on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aopc.base.errors import InputError
from aopc.base.files import read_record
from aopc.data.dataset import Dataset
from aopc.data.folder import image_folder
from aopc.data.sources.drawn import CLASSES, drawn
from image_files import picture


def test_data_sets_survive_the_disk(tmp_path: Path) -> None:
    data = drawn(style="scenes", split="test", images=3, seed=0)
    data.save(tmp_path / "d", {"seed": 0})
    loaded = Dataset.load(tmp_path / "d")
    np.testing.assert_array_equal(loaded.images, data.images)
    np.testing.assert_array_equal(loaded.masks, data.masks)
    assert loaded.ids == data.ids
    assert loaded.classes == CLASSES


def halved(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((image.width // 2, image.height // 2)))


def test_frames_in_a_file_are_those_in_memory_and_found_again(tmp_path: Path) -> None:
    data = drawn(style="scenes", split="test", images=3, seed=0)
    file = tmp_path / "frames" / "of.npy"
    expected = data.framed(halved)
    assert expected.pixels.shape == (3, 32, 32, 3)
    assert expected.masks is None
    found = data.framed(halved, file=file)
    assert isinstance(found.pixels, np.memmap)
    np.testing.assert_array_equal(found.pixels, expected.pixels)

    def never(image: Image.Image) -> np.ndarray:
        raise AssertionError("framed again")

    np.testing.assert_array_equal(data.framed(never, file=file).pixels, expected.pixels)
    assert [p.name for p in file.parent.iterdir()] == ["of.npy"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_frames_of_different_sizes_are_refused_and_nothing_stays(tmp_path: Path, in_memory: bool) -> None:
    for name, size in (("a.png", (60, 40)), ("b.png", (50, 40))):
        picture(tmp_path / "images" / name, size=size)
    folder = image_folder(tmp_path / "images")
    data = Dataset(folder, None, folder.ids, ())
    file = None if in_memory else tmp_path / "frames" / "of.npy"
    with pytest.raises(InputError, match=r"b\.png has the shape \(20, 25, 3\)"):
        data.framed(halved, file=file)
    assert not list(tmp_path.rglob("*.npy"))


def test_some_images_are_taken_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    data = drawn(style="objects", split="test", images=6, seed=0)
    some = data.take(np.array([4, 1]))
    assert some.ids == (data.ids[4], data.ids[1])
    np.testing.assert_array_equal(some.labels, data.labels[[4, 1]])
    np.testing.assert_array_equal(some.pixels, data.pixels[[4, 1]])
    np.testing.assert_array_equal(some.masks, data.masks[[4, 1]])
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "images" / name)
    folder = image_folder(tmp_path / "images")
    files = Dataset(folder, None, folder.ids, ()).take(np.array([2, 0]))
    assert files.images.ids == files.ids == ("c.png", "a.png")
    files.save(tmp_path / "saved", {"code": "x"})
    again = Dataset.load(tmp_path / "saved")
    assert again.ids == files.ids
    assert again.labels is None
    assert sorted(p.name for p in (tmp_path / "saved" / "images").iterdir()) == ["a.png", "c.png"]
    with pytest.raises(InputError, match="files of any size"):
        _ = again.pixels


def test_where_a_data_set_is_from_is_said_in_it(tmp_path: Path) -> None:
    data = drawn(style="scenes", split="test", images=2, seed=0)
    data.save(tmp_path, {"parameters": {"seed": 0}, "code": "abc"})
    about = read_record(tmp_path / "about.json")
    assert about["parameters"] == {"seed": 0}
    assert about["code"] == "abc"
    assert about["ids"] == list(data.ids)


def test_a_copy_of_an_image_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = drawn(style="objects", split="test", images=5, seed=0)
    assert data.distinct("objects") is data
    ids = tuple("abcdefg")
    twice = replace(data.take(np.array([0, 1, 2, 1, 3, 0, 4])), ids=ids)
    found = twice.distinct("objects")
    assert found.ids == ("a", "b", "c", "e", "g")
    np.testing.assert_array_equal(found.pixels, data.pixels)
    np.testing.assert_array_equal(found.labels, data.labels)
    np.testing.assert_array_equal(found.masks, data.masks)
    assert capsys.readouterr().err == "aopc: objects: left out 2 copies of other images: images d (as b), f (as a)\n"
    for name, seed in (("a.png", 0), ("b/c.png", 1), ("d.png", 0)):
        picture(tmp_path / name, seed=seed)
    folder = image_folder(tmp_path)
    assert Dataset(folder, None, folder.ids, ()).distinct("mine").ids == ("a.png", "b/c.png")
