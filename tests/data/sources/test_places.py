"""Places205, and its named substitute."""

from pathlib import Path

import pytest

from aopc.base.errors import InputError
from file_server import FileServer
from image_files import get, jpeg, tar


def test_places_says_where_its_substitute_is(downloads: Path, server: FileServer) -> None:
    content = {f"testSet_resize/{i:02x}.jpg": jpeg(i) for i in range(20)}
    content["testSet_resize/._00.jpg"] = b"not an image"
    url = server.serve("testSetPlaces205_resize.tar.gz", tar(content))
    found = get("places205", count=6, archive={"urls": url, "checksum": None})
    assert len(found) == 6
    assert found.labels is None
    assert found.files == {"testSetPlaces205_resize.tar.gz": found.files["testSetPlaces205_resize.tar.gz"]}
    (downloads / "testSetPlaces205_resize.tar.gz").unlink()
    with pytest.raises(InputError) as error:
        get("places205", count=6, archive={"urls": f"{server.url}/gone", "checksum": None})
    assert "status 404" in str(error.value)
    assert "set the data set's source to places365-validation" in str(error.value)
    content = {f"val_256/Places365_val_{i:08d}.jpg": jpeg(i) for i in range(9)}
    url = server.serve("val_256.tar", tar(content, "w"))
    found = get("places365-validation", count=5, archive={"urls": url, "checksum": None})
    assert len(found) == 5
