"""The user's own images."""

from pathlib import Path

import pytest
from PIL import Image

from aopc.base.errors import InputError
from aopc.data.sources.own import own_images
from image_files import get, jpeg


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three images a class, of many sizes."""
    for c, name in enumerate(("cat", "dog")):
        for i in range(3):
            path = tmp_path / "own" / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(100 * c + 10 * i, (30 + 10 * i, 40)))
    return tmp_path / "own"


def test_own_images_by_class_and_flat(own: Path) -> None:
    found = get("folder", folder=str(own))
    assert found.classes == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match="give it a size"):
        _ = found.pixels
    flat = get("folder", folder=str(own / "cat"))
    assert (flat.labels, flat.classes, len(flat)) == (None, (), 3)
    (own / "stray.jpg").write_bytes(jpeg(1))
    with pytest.raises(InputError, match=r"images outside of them, such as stray.jpg"):
        get("folder", folder=str(own))
    (own / "stray.jpg").unlink()
    square = get("folder", folder=str(own), size=32, count=4)
    assert square.pixels.shape == (4, 32, 32, 3)
    assert set(square.ids) <= set(found.ids)
    assert square.classes == ("cat", "dog")


def test_a_class_list_gives_labels_in_the_order_of_the_networks_outputs(tmp_path: Path) -> None:
    for folder in ("n2", "n7"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / folder / "a.png")
    classes = tmp_path / "classes.txt"
    classes.write_text("n7 great_white_shark\nn1 tench\nn2\n")
    dataset = own_images(split="test", seed=0, folder=str(tmp_path / "images"), classes=str(classes))
    assert dataset.ids == ("n2/a.png", "n7/a.png")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [2, 0]
    assert dataset.classes == ("great white shark", "tench", "n2")
    classes.write_text("n7\n")
    with pytest.raises(InputError, match="lacks the class 'n2'"):
        own_images(split="test", seed=0, folder=str(tmp_path / "images"), classes=str(classes))
