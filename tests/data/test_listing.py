"""Which files of a folder are images: what is left out is counted, what no rule covers is refused by name."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.base.manifest import MANIFEST
from aopc.data.folder import image_folder
from aopc.data.listing import HIDDEN, NO_IMAGE, RESULTS

IDS = ("cat/1.png", "cat/2.PNG", "dog/1.jpeg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in IDS:
        file(tmp_path / "photos", name)
    return tmp_path / "photos"


def file(root: Path, name: str) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(name.encode(errors="replace"))
    return root / name


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        ([".ipynb_checkpoints/1-checkpoint.png", ".git/x.png", "cat/._1.png"], {HIDDEN: 3}),
        (["__MACOSX/cat/1.png", "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/a.png"], {HIDDEN: 3}),
        (["cat/Thumbs.db", ".DS_Store", "cat/desktop.ini", "Icon\r"], {HIDDEN: 4}),
        (["a.txt", "cat/b.TXT", "README", "c.heic"], {f"{NO_IMAGE} (.txt)": 2, f"{NO_IMAGE} (no suffix)": 1}),
        ([f"results/{MANIFEST}", "results/figure4.png"], {RESULTS: 1}),
        ([f"cat/runs/2/{MANIFEST}", "cat/runs/2/figure4.png"], {RESULTS: 1}),
        (
            [f"old/{name}" for name in ("metrics.json", "figure4.png", "paired_differences.csv", "curves/a.parquet")],
            {RESULTS: 1},
        ),
        ([".results.new/figure4.png", ".results.lock", "results.partial/00/heatmaps.npy"], {HIDDEN: 2}),
    ],
)
def test_what_is_no_image_is_left_out_and_counted(photos: Path, names: list[str], left_out: dict[str, int]) -> None:
    for name in names:
        file(photos, name)
    found = image_folder(photos)
    assert found.ids == IDS
    assert {k: v for k, v in found.left_out.items() if k in left_out} == left_out
    assert sum(found.left_out.values()) >= sum(left_out.values())
    said = found.described()
    assert said.startswith("3 images in 2 folders; left out: ")
    for reason, count in left_out.items():
        assert f"{count} {reason}" in said


def test_nothing_is_said_of_nothing(photos: Path) -> None:
    assert image_folder(photos).described() == "3 images in 2 folders"
    assert image_folder(photos / "cat").described() == "2 images"


def test_a_linked_folder_of_a_class_is_one(photos: Path, tmp_path: Path) -> None:
    file(tmp_path / "elsewhere", "1.png")
    (photos / "owl").symlink_to(tmp_path / "elsewhere")
    (photos / "cat" / "3.png").symlink_to(file(tmp_path / "store", "a.png"))
    assert image_folder(photos).ids == ("cat/1.png", "cat/2.PNG", "cat/3.png", "dog/1.jpeg", "owl/1.png")


def _hard_link(photos: Path) -> None:
    os.link(photos / "cat" / "1.png", photos / "dog" / "2.png")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda photos: (photos / "cat" / "all").symlink_to(photos), "cat/all is the same folder as"),
        (lambda photos: (photos / "cat" / "me").symlink_to("."), "cat/me is the same folder as"),
        (lambda photos: (photos / "kitten").symlink_to("cat"), "kitten is the same folder as"),
        (lambda photos: (photos / "dog" / "x.png").symlink_to("../cat/1.png"), "dog/x.png is the same file as"),
        (_hard_link, "dog/2.png is the same file as"),
        (lambda photos: (photos / "cat" / "x.png").symlink_to("nowhere"), "cat/x.png is a link that leads nowhere"),
        (lambda photos: (photos / "owl").symlink_to("nowhere"), "owl is a link that leads nowhere"),
        (lambda photos: (photos / "owl").symlink_to("owl"), "owl"),
        (lambda photos: os.mkfifo(photos / "cat" / "x.png"), "cat/x.png is neither a file nor a folder"),
        (lambda photos: (photos / "x.png").symlink_to("/dev/zero"), "x.png is neither a file nor a folder"),
        (lambda photos: file(photos, "cat/a\nb.png"), "'a\\nb.png'"),
        (lambda photos: file(photos, "a\tb/1.png"), "'a\\tb'"),
        (lambda photos: file(photos, "cat/\udcff.png"), "not UTF-8"),
        (lambda photos: file(photos, "\udcff/1.png"), "not UTF-8"),
    ],
)
def test_what_no_rule_covers_is_refused_by_name(photos: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(photos)
    with pytest.raises(InputError) as caught:
        image_folder(photos)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    message.encode()


def test_a_folder_that_cannot_be_read_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def locked(path: object) -> object:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr("os.scandir", locked)
    with pytest.raises(InputError, match=r"cannot read .*dog: Permission denied"):
        image_folder(photos)


def test_names_are_the_same_on_every_system(photos: Path) -> None:
    """A Mac gives a name decomposed; its noise and its place in the order are those of the composed one."""
    name = "zoé/1.png"
    decomposed = unicodedata.normalize("NFD", name)
    content = file(photos, decomposed).read_bytes()
    folder = image_folder(photos)
    assert folder.ids == (*IDS, name)
    assert folder.read(name) == content
    assert folder.take([name]).read(name) == content
    file(photos, name)
    with pytest.raises(InputError, match="written alike"):
        image_folder(photos)


def test_a_folder_of_results_has_no_images(tmp_path: Path) -> None:
    for name in (MANIFEST, "figure4.png"):
        file(tmp_path, name)
    with pytest.raises(InputError, match=r"no images .* left out: 1 folders of results"):
        image_folder(tmp_path)
