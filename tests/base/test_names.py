"""Things by name, and hints for names that are not known."""

import pytest

from aopc.base.errors import InputError
from aopc.base.names import MOST_LISTED, listed, nearest, require_safe_name, resolve

TABLE = {"one": 1, "root": "math:sqrt"}


def test_entries_are_themselves_or_what_they_lead_to() -> None:
    assert resolve("number", TABLE, "one") == 1
    assert resolve("number", TABLE, "root")(9.0) == 3.0
    assert resolve("number", TABLE, "math:pi", of=float) == pytest.approx(3.14159, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("oen", "unknown number 'oen': did you mean 'one'"),
        ("math.pi", "or your own as package.module:function"),
        ("math:no_such", "cannot import the number 'math:no_such'"),
        ("no.such:thing", "cannot import the number 'no.such:thing'"),
        (":thing", "or your own as"),
        ("math:", "or your own as"),
        ("../../x:thing", "or your own as"),
        ("a:b:c", "or your own as"),
        (5, "unknown number 5"),
        ("math:pi", "is no number, but 3.14"),
        ("os:path", "is no number, but <module"),
        ("math:hypot2", "cannot import"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        resolve("number", TABLE, name)
    assert "\n" not in str(caught.value)


def test_modules_that_fail_at_import_are_said_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "fails_at_import.py").write_text("raise OSError('a\\nb')\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(InputError, match=r"fails_at_import:f': a b"):
        resolve("explainer", {}, "fails_at_import:f")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/a",
        "~",
        "~root",
        ".hidden",
        "a\nb",
        "a\0",
        "\udcff",
        "a:b",
        "x" * 201,
        "é" * 101,
        5,
        None,
    ],
)
def test_names_that_are_no_file_names_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="the panel ") as caught:
        require_safe_name("panel", name)
    assert str(caught.value).isprintable()
    for right in ("objects", "Scenes (shifted) $1", "żółw", "a.b", "x" * 200):
        require_safe_name("panel", right)


def test_few_names_are_all_listed_and_many_are_counted() -> None:
    assert nearest("xyz", ["a", "b"]) == "Known: a, b"
    many = [f"name-{i}" for i in range(MOST_LISTED + 1)]
    assert nearest("name-3", many).startswith("did you mean 'name-3'? Known: name-3")
    assert nearest("name-3", many).endswith(f"and {len(many) - 3} more")
    # Where none is near, too, names are said.
    assert nearest("xyz", many) == f"Known: name-0, name-1, name-2, and {len(many) - 3} more"


def test_images_are_listed_by_name() -> None:
    assert listed(["a"]) == "image a"
    assert listed(list("abcdefg")) == "images a, b, c, d, e and 2 more"
