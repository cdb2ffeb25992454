"""The paper's images of ILSVRC2012, from every layout."""

from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.data.dataset import Dataset
from file_server import FileServer
from image_files import get, greys, jpeg, tar

VAL = "ILSVRC2012_val_{:08d}.JPEG"


def test_without_the_archive_the_message_says_how_to_get_it(downloads: Path) -> None:
    with pytest.raises(InputError) as error:
        get("ilsvrc2012")
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "ILSVRC2012_img_val.tar",
        "6744924160 bytes",
        "md5 29b22e2961454d5413ddabcf34fc5622",
        "https://image-net.org",
        str(downloads),
        "needs an account",
    ):
        assert part in message


def test_the_first_images_are_the_same_from_every_layout(downloads: Path, server: FileServer, tmp_path: Path) -> None:
    numbers = [7, 2, 9, 1, 4, 8, 3]
    content = {VAL.format(i): jpeg(10 * i) for i in numbers}
    archive = {"urls": server.serve("val.tar", tar(content, "w")), "checksum": None, "size": None}
    from_archive = get("ilsvrc2012", count=4, archive=archive)
    assert from_archive.ids == tuple(VAL.format(i) for i in (1, 2, 3, 4))
    assert greys(from_archive) == [10, 20, 30, 40]
    assert from_archive.labels is None
    assert list(from_archive.files or {}) == ["ILSVRC2012_img_val.tar"]

    flat, by_class = tmp_path / "flat", tmp_path / "classes"
    for i, (name, image) in enumerate(content.items()):
        for path in (flat / name, by_class / f"n{i:08d}" / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
    for folder in (flat, by_class):
        found = get("ilsvrc2012", count=4, folder=str(folder))
        assert found.ids == from_archive.ids
        assert greys(found) == greys(from_archive)
        assert found.labels is None  # seven class folders are not the thousand

    for i in range(1000):
        (by_class / f"n{i:08d}").mkdir(exist_ok=True)
    labelled = get("ilsvrc2012", count=4, folder=str(by_class))
    assert labelled.labels is not None
    assert labelled.labels.tolist() == [numbers.index(i) for i in (1, 2, 3, 4)]
    assert len(labelled.classes) == 1000

    labelled.save(tmp_path / "saved", {})
    again = Dataset.load(tmp_path / "saved")
    assert (again.ids, greys(again)) == (from_archive.ids, greys(from_archive))


def test_an_unpacked_folder_beside_the_archives_place_is_found(downloads: Path) -> None:
    folder = downloads / "ILSVRC2012_img_val"
    folder.mkdir(parents=True)
    for i in range(1, 4):
        (folder / VAL.format(i)).write_bytes(jpeg(i))
    assert len(get("ilsvrc2012", count=3)) == 3
    with pytest.raises(InputError, match="holds 3 images named ILSVRC2012_val_"):
        get("ilsvrc2012", count=4)
    # However a file is spelt, its image has the official name, which keys its noise.
    (folder / VAL.format(2)).rename(folder / "ilsvrc2012_val_00000002.jpg")
    assert get("ilsvrc2012", count=3).ids[1] == VAL.format(2)
    (folder / VAL.format(2)).write_bytes(jpeg(2))
    with pytest.raises(InputError, match=r"holds ILSVRC2012_val_00000002.JPEG twice"):
        get("ilsvrc2012", count=3)


def test_a_gap_among_the_first_images_is_noticed(downloads: Path, server: FileServer) -> None:
    content = {VAL.format(i): jpeg(i) for i in (1, 2, 4, 5)}
    archive = {"urls": server.serve("val.tar", tar(content, "w")), "checksum": None, "size": None}
    with pytest.raises(InputError, match=r"lacks ILSVRC2012_val_00000003.JPEG"):
        get("ilsvrc2012", count=3, archive=archive)


def test_a_damaged_image_is_named(downloads: Path, server: FileServer) -> None:
    content = {VAL.format(i): jpeg(i) for i in range(1, 4)}
    content[VAL.format(2)] = jpeg(2, (400, 300))[:-200]
    archive = {"urls": server.serve("val.tar", tar(content, "w")), "checksum": None, "size": None}
    with pytest.raises(InputError, match=r"val_00000002.JPEG: replace or remove it"):
        get("ilsvrc2012", count=3, archive=archive)
