"""SUN397: the categories that Places205 has too."""

from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.data.sources import SOURCES
from aopc.data.sources.sun397 import shared_categories
from file_server import FileServer
from image_files import get, jpeg, tar


def test_the_two_label_sets_are_mapped_by_rule() -> None:
    mapping = shared_categories()
    assert len(mapping) == 205
    assert sorted(index for _, index in mapping.values()) == list(range(205))
    for sun, (name, _) in mapping.items():
        assert sun.replace("/", "_") == name
    # Known outputs of the Places CNN (categoryIndex_places205.csv): first, last, a nested one.
    assert mapping["abbey"] == ("abbey", 0)
    assert mapping["yard"] == ("yard", 204)
    assert mapping["apartment_building/outdoor"] == ("apartment_building_outdoor", 13)
    for other in ("airplane_cabin", "cathedral/indoor", "zen_garden"):
        assert other not in mapping


def sun_archive() -> dict[str, bytes]:
    categories = ["a/abbey", "b/bakery/shop", "c/cathedral/indoor", "y/yard", "z/zoo"]
    content = {"SUN397/ClassName.txt": b"/a/abbey\n", "SUN397/README.txt": b"read me"}
    for c, category in enumerate(categories):
        for i in range(8):
            content[f"SUN397/{category}/sun_{c}{i}.jpg"] = jpeg(20 * c + i)
    return content


def test_sun397_takes_shared_categories_only(downloads: Path, server: FileServer) -> None:
    url = server.serve("SUN397.tar.gz", tar(sun_archive()))
    archive = {"urls": url, "checksum": None}
    found = get("sun397", count=10, archive=archive)
    assert len(found) == 10
    categories = {i.rpartition("/")[0] for i in found.ids}
    assert categories <= {"abbey", "bakery/shop", "yard"}
    assert found.labels is not None
    for image_id, label in zip(found.ids, found.labels, strict=True):
        name = image_id.rpartition("/")[0].replace("/", "_")
        assert found.classes[label] == {"bakery_shop": "bakery_shop"}.get(name, name)
    assert get("sun397", count=10, archive=archive).ids == found.ids
    other = resolve("source", SOURCES, "sun397")(split="test", seed=1, count=10, archive=archive)
    assert other.ids != found.ids
    with pytest.raises(InputError, match="holds 24 images of the data set, but 25 are wanted"):
        get("sun397", count=25, archive=archive)
