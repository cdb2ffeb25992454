"""The paper's data sets: which images, from which layouts, and the user's own images."""

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aopc.data.sources import SOURCES, ilsvrc2012, places, sun397, torchvision_sets
from aopc.data.dataset import Dataset
from aopc.data.folder import image_folder
from aopc.data.sources.own import own_images
from aopc.data.sources.sun397 import shared_categories
from aopc.data.downloads import fetch as fetching
from aopc.base.errors import InputError
from aopc.base.names import resolve
from aopc.paper.stages.panel import require_same_classes
from file_server import FileServer, file_server


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for downloads; nothing outside loopback is ever asked."""
    folder = tmp_path / "downloads"
    monkeypatch.setenv("AOPC_DOWNLOADS", str(folder))
    monkeypatch.setattr(fetching, "BACK_OFF", 0.001)
    return folder


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


def jpeg(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """An image that tells its number by its grey."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number, number, number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def get(source: str, **settings: object) -> Dataset:
    return resolve("source", SOURCES, source)(split="test", seed=0, **settings)


def greys(dataset: Dataset) -> list[int]:
    return [round(np.asarray(dataset.images.load(i)).mean()) for i in dataset.ids]


VAL = "ILSVRC2012_val_{:08d}.JPEG"


# --- ILSVRC2012 ----------------------------------------------------------------------------


def test_sources_are_torchvisions() -> None:
    from torchvision.datasets import SUN397, Places365, imagenet

    name, md5 = imagenet.ARCHIVE_META["val"]
    assert (ilsvrc2012.ILSVRC2012.name, ilsvrc2012.ILSVRC2012.checksum) == (name, f"md5:{md5}")
    assert sun397.SUN397.checksum == f"md5:{SUN397._DATASET_MD5}"
    assert SUN397._DATASET_URL in sun397.SUN397.urls
    name, md5 = Places365._IMAGES_META[("val", True)]
    assert (places.PLACES365.name, places.PLACES365.checksum) == (name, f"md5:{md5}")
    assert places.PLACES365.urls == (Places365._BASE_URL + name,)


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


def test_the_first_images_are_the_same_from_every_layout(
    downloads: Path, server: FileServer, tmp_path: Path
) -> None:
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


# --- SUN397 and Places ----------------------------------------------------------------------


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


def test_places_says_where_its_substitute_is(downloads: Path, server: FileServer) -> None:
    content = {f"testSet_resize/{i:02x}.jpg": jpeg(i) for i in range(20)}
    content["testSet_resize/._00.jpg"] = b"not an image"
    url = server.serve("testSetPlaces205_resize.tar.gz", tar(content))
    found = get("places205", count=6, archive={"urls": url, "checksum": None})
    assert len(found) == 6
    assert found.labels is None
    assert found.files == {
        "testSetPlaces205_resize.tar.gz": found.files["testSetPlaces205_resize.tar.gz"]
    }
    (downloads / "testSetPlaces205_resize.tar.gz").unlink()
    with pytest.raises(InputError) as error:
        get("places205", count=6, archive={"urls": f"{server.url}/gone", "checksum": None})
    assert "status 404" in str(error.value)
    assert "set the data set's source to places365-validation" in str(error.value)
    content = {f"val_256/Places365_val_{i:08d}.jpg": jpeg(i) for i in range(9)}
    url = server.serve("val_256.tar", tar(content, "w"))
    found = get("places365-validation", count=5, archive={"urls": url, "checksum": None})
    assert len(found) == 5


# --- MNIST and CIFAR-10 ---------------------------------------------------------------------


def test_mnist_reads_real_files(
    downloads: Path, server: FileServer, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = {}
    for kind in ("images", "labels"):
        name = {"images": "t10k-images-idx3-ubyte.gz", "labels": "t10k-labels-idx1-ubyte.gz"}[kind]
        url = server.serve(name, (real_data / "mnist" / name).read_bytes(), cut_after=[1000])
        archives[f"test {kind}"] = {"urls": url, "checksum": None}
    found = get("mnist", archives=archives)
    assert found.pixels.shape == (10_000, 32, 32)
    assert found.pixels[:, :2].max() == 0
    assert found.labels is not None
    assert found.labels[:5].tolist() == [7, 2, 1, 0, 4]  # the test set's known beginning
    assert found.ids[0] == "test-00000"
    served = {name for name, _ in server.requests}
    assert served == {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    # Another file in its place is another data set, and no file is one that torchvision cannot read.
    path = downloads / "MNIST" / "t10k-labels-idx1-ubyte.gz"
    labels = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(labels[:8] + bytes(10_000)))
    again = get("mnist", archives=archives)
    assert again.labels is not None
    assert again.labels.max() == 0
    assert again.files != found.files
    path.write_bytes(gzip.compress(labels)[:-3000])
    with pytest.raises(InputError, match="torchvision cannot read"):
        get("mnist", archives=archives)
    with pytest.raises(InputError, match="did you mean 'test images'"):
        get("mnist", archives={"test image": {}})


def test_cifar10_reads_the_official_layout(
    downloads: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    content, sums = {}, {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        batch = {"data": rng.integers(0, 256, (4, 3072), np.uint8), "labels": [0, 3, 9, 5]}
        content[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch)
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    content["cifar-10-batches-py/batches.meta"] = pickle.dumps({"label_names": names})
    for path, data in content.items():
        sums[path.rpartition("/")[2]] = hashlib.md5(data).hexdigest()
    archive = tar(content)
    md5 = hashlib.md5(archive).hexdigest()
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, s] for n, s in sums.items() if n[0] == "d"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setitem(CIFAR10.meta, "md5", sums["batches.meta"])
    url = server.serve("cifar-10-python.tar.gz", archive)
    found = resolve("source", SOURCES, "cifar10")(split="train", seed=0, archive={"urls": url})
    assert found.pixels.shape == (20, 32, 32, 3)
    assert found.classes[3] == "cat"
    assert len(get("cifar10", archive={"urls": url})) == 4
    assert torchvision_sets.cifar10_source().checksum == f"md5:{md5}"
    # An archive with other batches is neither unpickled nor replaced by a download.
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", "0" * 32]])
    asked = len(server.requests)
    with pytest.raises(InputError, match="holds other files than CIFAR-10's"):
        get("cifar10", archive={"urls": url})
    assert len(server.requests) == asked
    assert (downloads / "cifar-10-python.tar.gz").read_bytes() == archive


# --- the user's own images -------------------------------------------------------------------


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


def test_images_show_as_in_a_viewer(tmp_path: Path) -> None:
    """Every mode: the colour that a viewer shows at the middle of the image."""
    red = Image.new("RGB", (20, 10), (200, 0, 0))
    clear = Image.new("RGBA", (20, 10), (200, 0, 0, 0))
    half = Image.new("RGBA", (20, 10), (200, 0, 0, 128))
    palette = Image.new("P", (20, 10), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    expected = {
        "rgb.png": (red, (200, 0, 0)),
        "grey.png": (Image.new("L", (20, 10), 77), (77, 77, 77)),
        "one-bit.png": (Image.new("1", (20, 10), 1), (255, 255, 255)),
        "grey-alpha.png": (Image.new("LA", (20, 10), (77, 0)), (255, 255, 255)),
        "clear.png": (clear, (255, 255, 255)),
        "half.png": (half, (227, 127, 127)),
        "palette.gif": (palette, (200, 0, 0)),
        "cmyk.jpg": (Image.new("CMYK", (20, 10), (0, 255, 255, 55)), (200, 0, 0)),
        "ycbcr.jpg": (red.convert("YCbCr"), (200, 0, 0)),
        "sixteen.png": (
            Image.fromarray(np.full((10, 20), 77 * 257, np.uint16)),
            (77, 77, 77),
        ),
        "webp.webp": (half, (227, 127, 127)),
    }
    for name, (image, _) in expected.items():
        options = {"quality": 100} if name.endswith("jpg") else {}
        image.save(tmp_path / name, **options, **({"lossless": True} if "webp" in name else {}))
    palette.save(tmp_path / "transparent.png", transparency=1)
    expected["transparent.png"] = (palette, (255, 255, 255))
    folder = image_folder(tmp_path)
    assert len(folder) == len(expected)
    for name, (_, colour) in expected.items():
        pixel = folder.load(name).convert("RGB").getpixel((10, 5))
        np.testing.assert_allclose(pixel, colour, atol=3, err_msg=name)


def test_a_wrong_exif_tag_does_not_hide_the_image(tmp_path: Path) -> None:
    """Cameras write tags of wrong types; the orientation is good all the same."""
    # EXIF's bytes: orientation 6, and ResolutionUnit, a number by the standard, as a text.
    entries = [(0x0112, 3, 1, b"\6\0\0\0"), (0x0128, 2, 4, b"abc\0")]
    tags = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tags + bytes(4)
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert image_folder(tmp_path).load("a.jpg").size == (10, 20)


def test_classes_mean_the_same_in_both_splits() -> None:
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1])
    training = Dataset(images, labels, ("a", "b"), ("bird", "cat"))
    test = Dataset(images, labels, ("a", "b"), ("cat", "dog"))
    require_same_classes(training, training, "pets")
    with pytest.raises(InputError, match="have other classes: bird, dog is in one"):
        require_same_classes(training, test, "pets")


def test_arrays_are_framed_for_networks_that_want_another_size() -> None:
    from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing

    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    data = Dataset(images, None, tuple("abc"), ())
    plain = Preprocessing("RGB", (0.0,) * 3, (1.0,) * 3, 1.0)
    assert plain.frames_as_they_are(images.shape[1:])
    assert not PREPROCESSINGS["caffe"].frames_as_they_are(images.shape[1:])
    assert data.framed(plain.frame, as_they_are=True) is data
    framed = data.framed(PREPROCESSINGS["caffe"].frame)
    assert framed.pixels.shape == (3, 227, 227, 3)
    expected = PREPROCESSINGS["caffe"].frame(Image.fromarray(images[1]))
    np.testing.assert_array_equal(framed.pixels[1], expected)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_in_every_mode(
    tmp_path: Path, name: str, mode: str, orientation: int
) -> None:
    if name == "a.jpg" and mode in ("RGBA", "I;16"):
        pytest.skip("JPEG has no such mode")
    left_is_bright = np.zeros((16, 32), np.uint8)
    left_is_bright[:, :8] = 255
    image = Image.fromarray(left_is_bright).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(left_is_bright.astype(np.uint16) * 257)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif)
    upright = np.asarray(image_folder(tmp_path).load(name).convert("L"))
    # TIFF 6.0: the stored rows and columns are, upright, 3: bottom and right; 6: right and top;
    # 8: left and bottom.
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    np.testing.assert_allclose(upright, np.rot90(left_is_bright, turns), atol=25)


def test_a_class_list_gives_labels_in_the_order_of_the_networks_outputs(tmp_path: Path) -> None:
    for folder in ("n2", "n7"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / folder / "a.png")
    classes = tmp_path / "classes.txt"
    classes.write_text("n7 great_white_shark\nn1 tench\nn2\n")
    dataset = own_images(
        split="test", seed=0, folder=str(tmp_path / "images"), classes=str(classes)
    )
    assert dataset.ids == ("n2/a.png", "n7/a.png")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [2, 0]
    assert dataset.classes == ("great white shark", "tench", "n2")
    classes.write_text("n7\n")
    with pytest.raises(InputError, match="lacks the class 'n2'"):
        own_images(split="test", seed=0, folder=str(tmp_path / "images"), classes=str(classes))
