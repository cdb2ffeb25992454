"""Which files a module depends on, and the hash of the code that follows from it."""

import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from aopc.base import imports, provenance
from aopc.base.imports import PACKAGE, reached
from aopc.base.provenance import code_hash, identity_hash, metadata

Write = Callable[[dict[str, str]], None]


def forget() -> None:
    for function in (reached, imports._references, code_hash):
        function.cache_clear()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of another package ``aopc``, which is looked at in the place of ours."""
    folder = tmp_path / "aopc"

    def into_it(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        forget()

    monkeypatch.setattr(imports, "PACKAGE", folder)
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    into_it({"__init__.py": ""})
    yield into_it
    forget()


def test_imports_are_followed_from_file_to_file_wherever_they_stand(write: Write) -> None:
    write(
        {
            "a.py": "import numpy\nfrom aopc.room import b\nfrom aopc.room.c import something\n",
            "room/__init__.py": "from aopc.of_the_room import x\n",
            "room/b.py": "def f():\n    try:\n        import aopc.d\n    finally:\n        pass\n",
            "room/c.py": "something = 1\n",
            "room/other.py": "",
            "of_the_room.py": "from aopc.a import circle\n",
            "d.py": "import aopc.e as e, os\n",
            "e.py": "",
        }
    )
    rooms = ["__init__.py", "of_the_room.py", "room/__init__.py"]
    assert reached("aopc.a") == (
        *["__init__.py", "a.py", "d.py", "e.py"],
        *["of_the_room.py", "room/__init__.py", "room/b.py", "room/c.py"],
    )
    assert reached("aopc.d") == ("__init__.py", "d.py", "e.py")
    assert set(rooms) < set(reached("aopc.room.c"))


def test_what_only_types_need_is_not_followed(write: Write) -> None:
    write(
        {
            "a.py": (
                "import typing\nfrom typing import TYPE_CHECKING\n"
                "if TYPE_CHECKING:\n    from aopc.b import B\n    LAZY = 'aopc.b:B'\n"
                "else:\n    from aopc.c import C\n"
                "if typing.TYPE_CHECKING:\n    import aopc.b\n"
                "if not C:\n    import aopc.d\n"
            ),
            **{f"{name}.py": "" for name in "bcd"},
        }
    )
    assert reached("aopc.a") == ("__init__.py", "a.py", "c.py", "d.py")


def test_texts_that_name_what_is_imported_later_are_followed(write: Write) -> None:
    write(
        {
            "a.py": "TABLE = {'x': 'aopc.b:function', 'y': ('aopc.c:Class',)}\n",
            "b.py": "'''Says aopc.d:function in passing.'''\nPATH = 'aopc.d'\nOTHER = 'numpy.d:array'\n",
            **{f"{name}.py": "" for name in "cd"},
        }
    )
    assert reached("aopc.a") == ("__init__.py", "a.py", "b.py", "c.py")


def test_data_files_beside_the_module_count(write: Write) -> None:
    write(
        {
            "room/__init__.py": "",
            "room/a.py": "TEMPLATE, MISSING = 'page.html.j2', 'none.csv'\n",
            "room/page.html.j2": "from aopc import b\n",
            "b.py": "",
            "none.csv": "elsewhere",
        }
    )
    assert reached("aopc.room.a") == (*["__init__.py", "room/__init__.py", "room/a.py", "room/page.html.j2"],)


def test_the_engine_does_not_depend_on_what_explains_or_what_is_drawn() -> None:
    found = reached("aopc.engine.curves")
    assert {"engine/incremental/run.py", "perturbation/removal/fills.py"} <= set(found)
    for room in ("explainers", "measures", "figures", "experiment", "data/sources", "paper"):
        assert not [file for file in found if file.startswith(f"{room}/")], room


def test_our_registries_and_data_files_are_reached() -> None:
    assert "explainers/lrp.py" in reached("aopc.explainers.registry")
    assert "explainers/backward/rules.py" in reached("aopc.explainers.registry")
    assert "explainers/backward/signals.py" in reached("aopc.explainers.run")
    assert "models/caffe/networks.py" in reached("aopc.models.zoo")
    assert "data/sources/sun397_places205.csv" in reached("aopc.data.sources")
    page = reached("aopc.paper.report.page")
    assert {f"paper/report/{n}" for n in ("page.html.j2", "page.css", "viewer.js")} <= set(page)


def test_every_text_that_names_something_of_ours_leads_to_it() -> None:
    """And nothing is imported relative to its place, which would not be followed."""
    texts = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts |= {node.value} if imports._LAZY.fullmatch(node.value) else set()
            assert not isinstance(node, ast.ImportFrom) or not node.level, file
    assert len(texts) > 20
    for text in texts:
        module, _, name = text.partition(":")
        assert hasattr(import_module(module), name), text


def test_the_hash_of_the_code_changes_with_every_file_that_is_reached(write: Write) -> None:
    files = {
        "a.py": "from aopc.b import x\nTABLE = 'aopc.c:y'\nDATA = 'd.csv'\n",
        "b.py": "x = 1\n",
        "c.py": "y = 1\n",
        "d.csv": "1,2\n",
    }
    others = {"other.py": "", "e.csv": ""}
    write(files | others)
    before = code_hash("aopc.a")
    for name in files:
        write({name: files[name] + "\n"})
        assert code_hash("aopc.a") != before, name
        write(files)
        assert code_hash("aopc.a") == before
    for name in others:
        write({name: "changed"})
        assert code_hash("aopc.a") == before, name
    assert code_hash("aopc.b") != before


def test_what_determines_a_result_is_in_its_identity(write: Write) -> None:
    write({"a.py": "", "b.py": "x = 1\n"})
    before = identity_hash({"steps": 10, "seed": 0}, "aopc.a")
    assert identity_hash({"seed": 0, "steps": 10}, "aopc.a") == before
    assert identity_hash({"steps": 11, "seed": 0}, "aopc.a") != before
    assert identity_hash({"steps": 10, "seed": 0}, "aopc.b") != before
    write({"b.py": "x = 2\n"})
    assert identity_hash({"steps": 10, "seed": 0}, "aopc.a") == before
    write({"a.py": "import aopc.b\n"})
    assert identity_hash({"steps": 10, "seed": 0}, "aopc.a") != before


def test_result_files_say_their_parameters_and_their_code() -> None:
    found = metadata({"steps": 10}, "aopc.engine.curves")
    assert found == {"parameters": {"steps": 10}, "code": code_hash("aopc.engine.curves")}
