"""The hash of a user's own code changes with all that its import brings in, and with nothing else."""

import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from importlib.metadata import version
from pathlib import Path

import pytest

from aopc.base.imports import PACKAGE, reached
from aopc.base.provenance import packages_of, source_hash
from aopc.base.sources import sources_of

FILES = {
    "mine/__init__.py": "from . import used_by_the_package\n",
    "mine/used_by_the_package.py": "",
    "mine/explain.py": (
        "import numpy as np, json\nfrom typing import TYPE_CHECKING\nfrom .helper import one\nfrom . import sibling\n"
        "from mine.deep import *\nimport importlib\nplugin = importlib.import_module('plug' + 'in')\n"
        "TABLE = 'table.csv'\nSCRIPT = 'parts/script.py'\n"
        "if TYPE_CHECKING:\n    import only_for_types\n"
        "def explain(model, images, targets):\n    import lazy\n    importlib.import_module('.by_name', __package__)\n"
        "    __import__('by_old_name')\n    return one\n"
    ),
    "mine/helper.py": "from two_away import two as one\n",
    "mine/sibling.py": "",
    "mine/deep/__init__.py": "from .deeper import three\n",
    "mine/deep/deeper.py": "three = 3\n",
    "mine/by_name.py": "",
    "mine/table.csv": "1,2\n",
    "mine/parts/script.py": "import of_the_script\n",
    "of_the_script.py": "",
    "two_away.py": "from namespace.inside import two\n",
    "namespace/inside.py": "two = 2\n",
    "lazy.py": "import pandas\n",
    "by_old_name.py": "",
    "plugin.py": "from plugins_helper import x\n",
    "plugins_helper.py": "x = 1\n",
}  # fmt: skip
OTHERS = {
    "mine/unused.py": "",
    "mine/unused.csv": "",
    "only_for_types.py": "",
    "other.py": "import mine.explain\n",
    "namespace/unused.py": "",
}
EXPLAIN = "mine.explain:explain"
Write = Callable[[dict[str, str]], None]


@pytest.fixture
def write(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    folder = tmp_path_factory.mktemp("users")
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def forget() -> None:
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")) or name in ("namespace", "mine"):
                del sys.modules[name]
        invalidate_caches()

    def into_it(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        forget()

    into_it.folder = folder  # type: ignore[attr-defined]
    yield into_it
    forget()


def test_every_file_that_the_import_brings_in_counts_and_no_other(write: Write) -> None:
    write(FILES | OTHERS)
    before = source_hash(EXPLAIN)
    assert before is not None
    for name in FILES:
        write({name: FILES[name] + "\n"})
        assert source_hash(EXPLAIN) != before, name
        write(FILES)
        assert source_hash(EXPLAIN) == before
    for name in OTHERS:
        write({name: OTHERS[name] + "\n"})
        assert source_hash(EXPLAIN) == before, name


#: By name: code, and the file beside it that it brings in.
BROUGHT = {
    "a module named in a list": ("import importlib\nm = [importlib.import_module(n) for n in ['helper']]\n", "helper.py"),
    "a module named later": (
        "import importlib\nN = 'helper'\ndef explain(*_):\n    return importlib.import_module(N)\n", "helper.py",
    ),
    "code that imports": ("def explain(*_):\n    exec('import helper')\n", "helper.py"),
    "a run module": ("import runpy\ndef explain(*_):\n    runpy.run_module('helper')\n", "helper.py"),
    "a package's module": ("import package\ndef explain(*_):\n    return package.helper\n", "package/helper.py"),
    "a path of imports": (
        "import sys, os\ndef explain(*_):\n    sys.path.append(os.path.join(os.path.dirname(__file__), 'library'))\n"
        "    import helper_there\n", "library/helper_there.py",
    ),
    "a file in a folder": ("from pathlib import Path\nP = Path(__file__).parent / 'data' / 'weights.bin'\n", "data/weights.bin"),
    "a file without an ending": ("from pathlib import Path\nP = Path(__file__).parent / 'weights'\n", "weights"),
    "an ending": ("from pathlib import Path\nP = Path(__file__).with_suffix('.npy')\n", "brings.npy"),
    "a pattern": ("from pathlib import Path\nP = Path(__file__).parent.glob('*.dat')\n", "second.dat"),
    "a part of a text": ("import os\nP = f'{os.path.dirname(__file__)}/weights.bin'\n", "weights.bin"),
    "a resource": ("from importlib.resources import files\nP = files('package') / 'weights.bin'\n", "package/weights.bin"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROUGHT)
def test_files_that_code_brings_in_later_count(kind: str, write: Write) -> None:
    code, name = BROUGHT[kind]
    others = {"package/__init__.py": "", "first.dat": "1", "unused.dat.txt": "1", "library/unused.py": "1"}
    write({"brings.py": code, name: "1\n", **others})
    before = source_hash("brings:explain")
    write({"unused.dat.txt": "2", "library/unused.py": "2"})
    assert source_hash("brings:explain") == before
    write({name: "2\n"})
    assert source_hash("brings:explain") != before


def test_a_file_named_by_its_whole_path_counts(write: Write, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text("1")
    write({"brings.py": f"P = {str(tmp_path / 'weights.bin')!r}\n"})
    before = source_hash("brings:explain")
    (tmp_path / "weights.bin").write_text("22")
    assert source_hash("brings:explain") != before


def test_it_depends_neither_on_the_place_nor_on_what_is_imported_already(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FILES | OTHERS)
    before, files = source_hash(EXPLAIN), sources_of("mine.explain").files
    for names in (["plugin", "lazy", "other"], ["mine.by_name", "by_old_name", "plugins_helper"]):
        write({})
        for name in names:
            import_module(name)
        assert source_hash(EXPLAIN) == before
        assert source_hash(EXPLAIN) == before
    assert sources_of("mine.explain").files == files
    folder = write.folder  # type: ignore[attr-defined]
    write({})
    monkeypatch.syspath_prepend(shutil.copytree(folder, tmp_path / "elsewhere"))
    moved = sources_of("mine.explain")
    assert {path.relative_to(tmp_path / "elsewhere").as_posix() for path in moved.files.values()} == set(FILES)
    assert moved.hash == before
    for name in list(sys.modules):
        if "elsewhere" in str(getattr(sys.modules[name], "__file__", "")) or name in ("mine", "namespace"):
            del sys.modules[name]


def test_installed_packages_count_by_their_version(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"mine.py": "import torch, PIL.Image, json, aopc\nfrom numpy.linalg import norm\n"})
    found = sources_of("mine")
    assert found.packages == {"torch": version("torch"), "pillow": version("pillow"), "numpy": version("numpy")}
    assert set(found.files) == {"mine", "aopc/__init__.py"}
    assert packages_of("mine:f", "random", None) == dict(sorted(found.packages.items()))
    other = type(found)(found.files, {**found.packages, "numpy": "0.1"})
    assert other.hash != found.hash


def test_our_own_modules_bring_what_they_reach(write: Write) -> None:
    write({"mine.py": "from aopc.explainers.lrp import epsilon\n"})
    assert sources_of("mine").files == {
        "mine": write.folder / "mine.py",  # type: ignore[attr-defined]
        **{f"aopc/{name}": PACKAGE / name for name in reached("aopc.explainers.lrp")},
    }
    assert source_hash("sensitivity-l2") is None
    assert source_hash(None) is None


@pytest.mark.parametrize(
    "text",
    ["import no_such_module\n", "from . import x\n", "from .... import x\n", "def broken(:\n", "raise SystemExit(1)\n",
     "import mine\n", "from mine import *\n", "\0", "x = 'a.b' * 9\ny = '\\0.x'\n", "z = '" + 300 * "x." + "'\n"],
)  # fmt: skip
def test_what_cannot_be_imported_or_read_has_a_hash_of_its_text(write: Write, text: str) -> None:
    write({"mine.py": text})
    first = source_hash("mine:f")
    write({"mine.py": text + "#\n"})
    assert first is not None
    assert source_hash("mine:f") != first
    assert source_hash("no.such.module:f") == source_hash("no_such:f")


def test_a_module_in_an_archive_counts_as_the_archive(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({})
    archive = write.folder / "mine.zip"  # type: ignore[attr-defined]
    found = []
    for text in ("f = 1\n", "f = 2\n"):
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("zipped.py", text)
        write({})
        monkeypatch.syspath_prepend(str(archive))
        found.append(source_hash("zipped:f"))
    assert None not in found
    assert found[0] != found[1]
