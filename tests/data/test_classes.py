"""Lists of classes as editors write them, and folders as systems name them: matched by rule or refused by name."""

import unicodedata
from pathlib import Path

import pytest

from aopc.base.errors import InputError
from aopc.data.classes import class_lines, labels_of, read_class_names, read_classes

HERE = Path("photos")


@pytest.mark.parametrize(
    "text",
    [
        b"cat\ndog\n",
        b"cat\ndog",
        b"\xef\xbb\xbfcat\ndog\n",
        b"cat\r\ndog\r\n",
        b"\xef\xbb\xbfcat \r\n  dog\t\r\n\r\n \n",
    ],
)
def test_what_editors_add_is_no_part_of_a_list(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "classes.txt").write_bytes(text)
    assert read_classes(tmp_path / "classes.txt") == ["cat", "dog"]
    assert labels_of(["dog", "cat"], class_lines(tmp_path / "classes.txt"), HERE).tolist() == [1, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no empty line, as line 1"),
        (b"\xef\xbb\xbf\n", "no empty line, as line 1"),
        (b"cat\n\ndog\n", "no empty line, as line 2"),
        (b"cat\n\xe2\x80\x8b\ndog\n", "no empty line, as line 2"),
        (b"cat\ndog\ncat\n", "names 'cat' twice"),
        (b"cat\ncat \n", "names 'cat' twice"),
        ("caf\u00e9\ncafe\u0301\n".encode(), "twice"),
        (b"tiger cat\ntiger shark\n", "with underscores, as tiger_cat"),
        (b"n1 cat\nn1 dog\n", "names 'n1' twice"),
        ("cat\ndog\n".encode("utf-16-le"), "has control characters"),
        (b"cat\0\ndog\n", "has control characters"),
        (b"\x1b[31mcat\ndog\n", "has control characters"),
        (b"cat\x0bdog\nowl\n", "has control characters"),
        ("cat\u2028dog\n".encode(), "has control characters"),
        (b"cat " + b"x" * 2**22, "is longer than"),
        ("cat\ndog\n".encode("utf-16"), "save it as UTF-8 text"),
        (b"caf\xe9\n", "save it as UTF-8 text"),
    ],
)
def test_lists_that_may_mean_something_else_are_refused(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "classes.txt").write_bytes(text)
    with pytest.raises(InputError, match=said) as caught:
        class_lines(tmp_path / "classes.txt")
    assert "\n" not in str(caught.value)


def test_a_list_without_an_end_is_refused() -> None:
    with pytest.raises(InputError, match="is longer than"):
        class_lines(Path("/dev/zero"))


def test_a_list_that_is_a_folder_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the class list"):
        class_lines(tmp_path)
    with pytest.raises(InputError, match="there is no class list"):
        class_lines(tmp_path / "none.txt")


def test_the_name_follows_the_id(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("n7 great_white_shark\nn1 tench\nn2\n")
    names = {"n7": "great white shark", "n1": "tench", "n2": "n2"}
    assert read_class_names(tmp_path / "classes.txt") == names


@pytest.mark.parametrize(
    ("folder", "classes"),
    [
        ("cat", ["dog", "cat"]),
        ("n2", ["n1 dog", "n2 cat"]),
        ("n2 cat", ["n1 dog", "n2 cat"]),
        ("great white shark", ["dog", "great white shark"]),
        ("great_white_shark", ["dog", "great white shark"]),
        ("great white  shark ", ["dog", "great_white_shark"]),
        (unicodedata.normalize("NFD", "zoé"), ["dog", "zoé"]),
        ("zoé", ["dog", unicodedata.normalize("NFD", "zoé")]),
        ("\u200ecat\u200b", ["dog", "cat"]),
        ("tiger", ["tiger cat", "tiger"]),
        ("cat", ["dog", "\ufeffcat"]),
    ],
)
def test_a_folder_is_the_class_that_it_is_called_by_rule(folder: str, classes: list[str]) -> None:
    found = labels_of([folder, folder], classes, HERE)
    assert found is not None
    assert found.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("folders", "classes", "said"),
    [
        (["Cat", "dog"], ["cat", "dog"], "the folder 'Cat' is no class, but 'cat' is"),
        (["CAT"], ["cat", "dog"], "the folder 'CAT' is no class, but 'cat' is"),
        (["great-white-shark"], ["great_white_shark"], "is no class, but 'great_white_shark' is"),
        (["N01"], ["n01 tench"], "the folder 'N01' is no class"),
        (["cat"], ["0 cat", "1 dog"], "the folder 'cat' is no class, but '0 cat' is"),
        (["Great white shark"], ["n1 great_white_shark"], "is no class, but 'n1 great_white_shark' is"),
        (["cat", "owl"], ["cat", "dog"], "lacks the class 'owl'"),
        (["cat", ""], ["cat", "dog"], "images outside of them"),
        (["tiger cat", "tiger_cat"], ["tiger cat", "tiger_cat"], "may be the class 'tiger cat' and 'tiger_cat'"),
    ],
)
def test_a_folder_that_is_nearly_or_partly_a_class_is_refused(
    folders: list[str], classes: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        labels_of(folders, classes, HERE)


@pytest.mark.parametrize("folders", [["", ""], ["2019", "holiday"], ["", "holiday"]])
def test_folders_that_are_no_classes_at_all_have_no_labels(folders: list[str]) -> None:
    assert labels_of(folders, ["cat", "dog"], HERE) is None
