"""Which of the package's files a module depends on: those that its imports reach.

One rule for DVC's dependencies (`make pipeline`), for the identity of stored parts and for the code version in result
files, so that these cannot disagree.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name

#: How registries name what is imported at its first use.
_LAZY = re.compile(rf"({NAME}(?:\.\w+)+):\w+")


@lru_cache(maxsize=64)
def reached(module: str) -> tuple[str, ...]:
    """The files below the package that a module's imports reach, itself included, sorted; its name as in an import.

    Followed are imports anywhere in a file but under ``if TYPE_CHECKING:``, texts of the form ``aopc.module:name``
    (registries name so what they import later), and the ``__init__.py`` of every package on the way. A text that is
    the name of a data file beside the module counts as well.

    Examples
    --------
    >>> reached("aopc.base.errors")
    ('__init__.py', 'base/__init__.py', 'base/errors.py', 'base/text.py')
    """
    found: set[Path] = set()
    queue = _files_of(module)
    while queue:
        file = queue.pop()
        if file not in found:
            found.add(file)
            queue += _references(file)
    return tuple(sorted(file.relative_to(PACKAGE).as_posix() for file in found))


def _files_of(name: str) -> list[Path]:
    """The file of a module of ours, or of the module that holds the attribute, and its packages' own files."""
    package, *parts = name.split(".")
    if package != NAME:
        return []
    place, files = PACKAGE, [PACKAGE / "__init__.py"]
    for part in parts:
        place /= part
        files.append(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))
    return [file for file in files if file.is_file()]


@lru_cache(maxsize=512)
def _references(file: Path) -> tuple[Path, ...]:
    if file.suffix != ".py":
        return ()
    found: list[Path] = []
    for node in executed(ast.parse(file.read_bytes())):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases):
                found += [path for alias in aliases for path in _files_of(f"{module}.{alias.name}")]
            case ast.Import(names=aliases):
                found += [path for alias in aliases for path in _files_of(alias.name)]
            case ast.Constant(value=str(text)):
                if lazy := _LAZY.fullmatch(text):
                    found += _files_of(lazy[1])
                elif re.fullmatch(r"[\w.-]+\.\w+", text) and (file.parent / text).is_file():
                    found.append(file.parent / text)
    return tuple(found)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``."""
    for child in ast.iter_child_nodes(tree):
        nodes: Sequence[ast.AST] = [child]
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            nodes = child.orelse
        for node in nodes:
            yield node
            yield from executed(node)
